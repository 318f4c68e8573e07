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
  if (encrypted.length < encryptionOverheadBytes || (formatVersion !== version && formatVersion !== paddedVersion))
    throw new MalformedGossipError('not encrypted');
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
  throw new MalformedGossipError('not encrypted with any key of the keyring');
}

function withoutPadding(plain: Uint8Array): Uint8Array {
  const padding = plain.at(-1) ?? 0;
  const start = plain.length - padding;
  if (padding === 0 || padding > blockBytes || start < 0 || plain.subarray(start).some((byte) => byte !== padding))
    throw new MalformedGossipError('invalid padding');
  return plain.subarray(0, start);
}
