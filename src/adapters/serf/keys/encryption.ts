import { createCipheriv, createDecipheriv, randomBytes, type CipherGCMTypes } from 'node:crypto';
import { MalformedGossipError } from '../../../domain/gossip/wire.js';
import type { Keyring } from './keyring.js';

const versionBytes = 1;
const nonceBytes = 12;
const tagBytes = 16;
const blockBytes = 16;
const paddedVersion = 0;
const version = 1;

/** What encryption adds. */
export const encryptionOverheadBytes = versionBytes + nonceBytes + tagBytes;

const cipherOf = (key: Uint8Array): CipherGCMTypes =>
  key.length === 16 ? 'aes-128-gcm' : key.length === 24 ? 'aes-192-gcm' : 'aes-256-gcm';

/** `1, nonce, ciphertext, tag`: AES-GCM with the primary key. `context` is authenticated with it, but not in it. */
export function checksum(plain: Uint8Array, keyring: Keyring, context: Uint8Array = new Uint8Array()): Uint8Array {
  const nonce = randomBytes(nonceBytes);
  const key = keyring.primary;
  const cipher = createCipheriv(cipherOf(key), key, nonce).setAAD(context);
  return Buffer.concat([Uint8Array.of(version), nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/**
 * Undoes `seal`, with whichever key fits; also reads version 0, which is padded to whole blocks (PKCS #7). Throws
 * `MalformedGossipError` where none fits, so also for what is not encrypted.
 */
export function open(sealed: Uint8Array, keyring: Keyring, context: Uint8Array = new Uint8Array()): Uint8Array {
  const sealVersion = sealed[0];
  if (sealed.length < encryptionOverheadBytes || (sealVersion !== version && sealVersion !== paddedVersion))
    throw new MalformedGossipError('not encrypted');
  const nonce = sealed.subarray(versionBytes, versionBytes + nonceBytes);
  const ciphertext = sealed.subarray(versionBytes + nonceBytes, sealed.length - tagBytes);
  const tag = sealed.subarray(sealed.length - tagBytes);
  for (const key of keyring.secrets) {
    const decipher = createDecipheriv(cipherOf(key), key, nonce).setAAD(context).setAuthTag(tag);
    const plain = decipher.update(ciphertext);
    try {
      decipher.final();
    } catch {
      continue;
    }
    return sealVersion === paddedVersion ? withoutPadding(plain) : plain;
  }
  throw new MalformedGossipError('encrypted with no key of the keyring');
}

function withoutPadding(plain: Uint8Array): Uint8Array {
  const padding = plain.at(-1) ?? 0;
  const start = plain.length - padding;
  if (padding === 0 || padding > blockBytes || start < 0 || plain.subarray(start).some((byte) => byte !== padding))
    throw new MalformedGossipError('badly padded');
  return plain.subarray(0, start);
}
