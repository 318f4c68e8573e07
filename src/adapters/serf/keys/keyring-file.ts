import { readFile } from 'node:fs/promises';
import { MalformedGossipError } from '../../../domain/gossip/wire.js';
import { Keyring } from './keyring.js';
import { isMissing, replaceFile } from '../replace-file.js';

/** Only its owner may read it. */
const fileMode = 0o600;

/**
 * Serf's keyring file: a JSON list of keys in base64, the primary first. Undefined where there is none. Rejects with
 * `MalformedGossipError` when it is something else, or with the system's error.
 */
export async function readKeyring(path: string): Promise<Keyring | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  let keys: unknown;
  try {
    keys = JSON.parse(text);
  } catch (cause) {
    throw new MalformedGossipError(`the keyring file ${path} is not JSON`, { cause });
  }
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'string'))
    throw new MalformedGossipError(`the keyring file ${path} is not a list of keys`);
  return new Keyring(keys);
}

/** Replaces the file: it is the old one or the new one whatever happens, and the new one once this resolved. */
export async function writeKeyring(path: string, keyring: Keyring): Promise<void> {
  await replaceFile(path, `${JSON.stringify(keyring.keys, undefined, 2)}\n`, fileMode);
}
