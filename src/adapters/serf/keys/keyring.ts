import { MalformedGossipError } from '../../../domain/gossip/wire.js';

const keyLengths: readonly number[] = [16, 24, 32];

/** A key cannot be installed, used or removed as requested; the message is for the operator. */
export class KeyringError extends Error {
  override readonly name = 'KeyringError';
}

/** Parses a base64 key of 16, 24 or 32 bytes (AES-128, -192, -256). Throws `MalformedGossipError` for anything else. */
export function parseKey(base64: string): Uint8Array {
  const key = Buffer.from(base64, 'base64');
  if (!keyLengths.includes(key.length) || key.toString('base64') !== base64)
    throw new MalformedGossipError('invalid gossip key: expected 16, 24 or 32 bytes in base64');
  return Uint8Array.from(key);
}

export const keyText = (key: Uint8Array): string => Buffer.from(key).toString('base64');

/** The keys of the gossip: the primary key encrypts, and any key decrypts. */
export class Keyring {
  /** The primary first; never empty, without duplicates. */
  #keys: readonly string[];
  #secrets: readonly Uint8Array[] | undefined;

  /** The first key is the primary. Throws `MalformedGossipError` unless there is at least one key and all are valid. */
  constructor(keys: readonly string[]) {
    if (keys.length === 0) throw new MalformedGossipError('a keyring must have at least one key');
    for (const key of keys) parseKey(key);
    this.#keys = [...new Set(keys)];
  }

  /** In base64, the primary first. */
  get keys(): readonly string[] {
    return this.#keys;
  }

  get primary(): Uint8Array {
    const [primary] = this.secrets;
    if (primary === undefined) throw new RangeError('a keyring must have at least one key');
    return primary;
  }

  /** The bytes of all keys, the primary first. */
  get secrets(): readonly Uint8Array[] {
    this.#secrets ??= this.#keys.map(parseKey);
    return this.#secrets;
  }

  /** Adds a key for decryption. */
  install(key: Uint8Array): void {
    if (!keyLengths.includes(key.length)) throw new KeyringError('key size must be 16, 24 or 32 bytes');
    if (!this.#keys.includes(keyText(key))) this.#replace([...this.#keys, keyText(key)]);
  }

  /** Makes an installed key the primary. */
  use(key: Uint8Array): void {
    const text = keyText(key);
    if (!this.#keys.includes(text)) throw new KeyringError('requested key is not in the keyring');
    this.#replace([text, ...this.#keys.filter((other) => other !== text)]);
  }

  /** Removes a key other than the primary. */
  remove(key: Uint8Array): void {
    const text = keyText(key);
    if (text === this.#keys[0]) throw new KeyringError('removing the primary key is not allowed');
    this.#replace(this.#keys.filter((other) => other !== text));
  }

  #replace(keys: readonly string[]): void {
    this.#keys = keys;
    this.#secrets = undefined;
  }
}
