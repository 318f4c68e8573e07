import { constants } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { MalformedGossipError } from '../../../domain/gossip/wire.js';
import { Keyring } from './keyring.js';
import { isMissing, replaceFile } from '../replace-file.js';

/** Readable by the owner only. */
const fileMode = 0o600;

/**
 * Reads Serf's keyring file: a JSON list of keys in base64, the primary first. Resolves with undefined if it is
 * missing. Rejects with `MalformedGossipError` if it is malformed, otherwise with the system's error.
 */
export async function readKeyring(path: string): Promise<Keyring | undefined> {
  let text: string;
  try {
    text = await readFile(path, { encoding: 'utf8', flag: constants.O_RDONLY | constants.O_NOFOLLOW });
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

/** Replaces the file atomically; durable when it resolves. */
export async function writeKeyring(path: string, keyring: Keyring): Promise<void> {
  await replaceFile(path, `${JSON.stringify(keyring.keys, undefined, 2)}\n`, fileMode);
}
