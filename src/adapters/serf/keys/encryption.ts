import { createCipheriv, createDecipheriv, randomBytes, type CipherGCMTypes } from 'node:crypto';
import { MalformedGossipError } from '../../../domain/gossip/wire.js';
import type { Keyring } from './keyring.js';

const versionBytes = 1;
const nonceBytes = 12;
const tagBytes = 16;
const blockBytes = 16;
const paddedVersion = 0;
const version = 1;

/** The bytes that encryption adds. */
export const encryptionOverheadBytes = versionBytes + nonceBytes + tagBytes;

/** What is wrong where one of two nodes has a gossip key and the other has none, as the node with the key sees it. */
export const notEncrypted =
  'not encrypted, although this node encrypts its gossip: give the other node the key (--encrypt-file)';
/** As the node without a key sees it. */
export const encryptedForOthers =
  'encrypted, although this node does not encrypt its gossip: give this node the key (--encrypt-file)';

const cipherOf = (key: Uint8Array): CipherGCMTypes =>
  key.length === 16 ? 'aes-128-gcm' : key.length === 24 ? 'aes-192-gcm' : 'aes-256-gcm';

/**
 * Encrypts with the primary key (AES-GCM) into `1, nonce, ciphertext, tag`. `context` is authenticated but not
 * included.
 */
export function encrypt(plain: Uint8Array, keyring: Keyring, context: Uint8Array = new Uint8Array()): Uint8Array {
  const nonce = randomBytes(nonceBytes);
  const key = keyring.primary;
  const cipher = createCipheriv(cipherOf(key), key, nonce).setAAD(context);
  return Buffer.concat([Uint8Array.of(version), nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/**
 * Decrypts with any key of the keyring; also reads version 0, which is padded to whole blocks (PKCS #7). Throws
 * `MalformedGossipError` if no key matches or the input is not encrypted.
 */
export function decrypt(encrypted: Uint8Array, keyring: Keyring, context: Uint8Array = new Uint8Array()): Uint8Array {
  const formatVersion = encrypted[0];
  if (!mayBeEncrypted(encrypted)) throw new MalformedGossipError(notEncrypted);
  const nonce = encrypted.subarray(versionBytes, versionBytes + nonceBytes);
  const ciphertext = encrypted.subarray(versionBytes + nonceBytes, encrypted.length - tagBytes);
  const tag = encrypted.subarray(encrypted.length - tagBytes);
  for (const key of keyring.secrets) {
    const decipher = createDecipheriv(cipherOf(key), key, nonce).setAAD(context).setAuthTag(tag);
    const plain = decipher.update(ciphertext);
    try {
      decipher.final();
    } catch {
      continue;
    }
    return formatVersion === paddedVersion ? withoutPadding(plain) : plain;
  }
  throw new MalformedGossipError(
    'encrypted with a key that is not in the keyring of this node: install it here, or use a common key (SECURITY.md, Rotation)',
  );
}

function withoutPadding(plain: Uint8Array): Uint8Array {
  const padding = plain.at(-1) ?? 0;
  const start = plain.length - padding;
  if (padding === 0 || padding > blockBytes || start < 0 || plain.subarray(start).some((byte) => byte !== padding))
    throw new MalformedGossipError('invalid padding');
  return plain.subarray(0, start);
}

/** Whether the bytes could have been encrypted; only a key can tell. */
export function mayBeEncrypted(bytes: Uint8Array): boolean {
  return bytes.length >= encryptionOverheadBytes && (bytes[0] === version || bytes[0] === paddedVersion);
}
