import type { KeyResponse } from '../../../domain/gossip/message.js';
import { MalformedGossipError, type MembershipWire } from '../../../domain/gossip/wire.js';
import type { KeyringStore } from './keyring-store.js';
import { KeyringError, keyText } from './keyring.js';

const prefix = '_serf_';
/** The number of keys that fit into an answer. */
const listedKeysMax = 15;

export const isKeyQuery = (name: string): boolean => /^_serf_((install|use|remove)-key|list-keys)$/.test(name);

/**
 * Executes a key query of `serf keys` and resolves with the payload of the answer, once the keys are saved. If there is
 * no keyring or the key is invalid, the answer contains the reason. Never rejects.
 */
export async function answerKeyQuery(
  { name, payload }: { readonly name: string; readonly payload: Uint8Array },
  wire: MembershipWire,
  keys: KeyringStore,
): Promise<Uint8Array> {
  const answer = (response: Partial<KeyResponse>): Uint8Array =>
    wire.encodeKeyResponse({ result: true, message: '', keys: [], primaryKey: '', ...response });
  const { keyring } = keys;
  const order = name.slice(prefix.length);
  if (keyring === undefined) {
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
  try {
    const key = wire.decodeKeyRequest(payload);
    if (order === 'install-key') keyring.install(key);
    else if (order === 'use-key') keyring.use(key);
    else keyring.remove(key);
    await keys.save();
    return answer({});
  } catch (error) {
    if (error instanceof KeyringError || error instanceof MalformedGossipError)
      return answer({ result: false, message: error.message });
    return answer({ result: false, message: 'the keyring file could not be written' });
  }
}
