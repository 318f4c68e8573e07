import { createHash } from 'node:crypto';
import type { KeyResponse } from '../../../domain/gossip/message.js';
import { MalformedGossipError, type MembershipWire } from '../../../domain/gossip/wire.js';
import type { KeyringStore } from './keyring-store.js';
import { KeyringError, keyText } from './keyring.js';

const prefix = '_serf_';
/** The number of keys that fit into an answer. */
const listedKeysMax = 15;

export const isKeyQuery = (name: string): boolean => /^_serf_((install|use|remove)-key|list-keys)$/.test(name);

/** A change of the keyring that a query asked for. */
export interface KeyChange {
  readonly action: string;
  /** The first digits of the key's SHA-256; undefined if there is no valid key. */
  readonly fingerprint?: string;
  /** `done`, or why the keyring was not changed. */
  readonly result: string;
}

/**
 * Executes a key query of `serf keys` and resolves with the payload of the answer, once the keys are saved. If there is
 * no keyring or the key is invalid, the answer contains the reason. Reports each change that was asked for. Never
 * rejects.
 */
export async function answerKeyQuery(
  { name, payload }: { readonly name: string; readonly payload: Uint8Array },
  wire: MembershipWire,
  keys: KeyringStore,
  report: (change: KeyChange) => void = () => undefined,
): Promise<Uint8Array> {
  const answer = (response: Partial<KeyResponse>): Uint8Array =>
    wire.encodeKeyResponse({ result: true, message: '', keys: [], primaryKey: '', ...response });
  const { keyring } = keys;
  const order = name.slice(prefix.length);
  if (keyring === undefined) {
    if (order !== 'list-keys') report({ action: order, result: 'gossip is not encrypted' });
    const problem = order === 'list-keys' ? 'Keyring is empty' : 'No keyring to modify';
    return answer({ result: false, message: `${problem} (encryption not enabled)` });
  }
  if (order === 'list-keys') {
    const listed = keyring.keys.slice(0, listedKeysMax);
    const message =
      listed.length < keyring.keys.length
        ? `truncated key list response, showing first ${listed.length} of ${keyring.keys.length} keys`
        : '';
    return answer({ keys: listed, primaryKey: keyText(keyring.primary), message });
  }
  let fingerprint: string | undefined;
  const reportResult = (result: string): void => report({ action: order, ...(fingerprint && { fingerprint }), result });
  try {
    const key = wire.decodeKeyRequest(payload);
    fingerprint = createHash('sha256').update(key).digest('hex').slice(0, 16);
    if (order === 'install-key') keyring.install(key);
    else if (order === 'use-key') keyring.use(key);
    else keyring.remove(key);
    await keys.save();
    reportResult('done');
    return answer({});
  } catch (error) {
    const isKnown = error instanceof KeyringError || error instanceof MalformedGossipError;
    const message = isKnown ? error.message : 'the keyring file could not be written';
    reportResult(message);
    return answer({ result: false, message });
  }
}
