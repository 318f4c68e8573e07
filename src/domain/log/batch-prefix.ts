import { readUint16, writeUint16 } from './big-endian.js';
import { malformed, varintBytes, WireReader, WireType, writeSafeVarint, writeVarint } from './wire-reader.js';

/** The mark of a producer on a batch: which producer sent it, and its place among what that producer sent. */
export interface Producer {
  /** 1 to 128 bytes of UTF-8. */
  readonly id: string;
  /** A producer that opens its id again gets a higher epoch, and fences the epochs below. */
  readonly epoch: number;
  /** Counts the batches of an epoch, from 0. */
  readonly sequence: number;
}

export const producerIdBytesMax = 128;

/** The prefix has its length before it. */
const lengthBytes = 2;

/** Tag of `golog.v1.RecordBatch.producer`. */
const producerTag = (5 << 3) | WireType.bytes;
/** Fields up to this one of `golog.v1.RecordBatch` are the batch itself; a prefix with one of them would change it. */
const lastFieldOfBatch = 4;

/** Tags of `golog.v1.Producer`. */
const Tag = { id: 0x0a, epoch: 0x10, sequence: 0x18 } as const;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Encodes the prefix of a batch: its field `producer`, without the length before it. */
export function encodePrefix({ id, epoch, sequence }: Producer): Uint8Array {
  const name = encoder.encode(id);
  const message = new Uint8Array(3 + name.length + 2 * 9);
  message[0] = Tag.id;
  let at = writeVarint(message, 1, name.length);
  message.set(name, at);
  at += name.length;
  if (epoch > 0) {
    message[at] = Tag.epoch;
    at = writeSafeVarint(message, at + 1, epoch);
  }
  if (sequence > 0) {
    message[at] = Tag.sequence;
    at = writeSafeVarint(message, at + 1, sequence);
  }
  const prefix = new Uint8Array(1 + varintBytes(at) + at);
  prefix[0] = producerTag;
  prefix.set(message.subarray(0, at), writeVarint(prefix, 1, at));
  return prefix;
}

/**
 * Returns the producer in a prefix; `undefined` if it has none. Fields that this release does not know are passed over.
 * Returns `malformed` for a prefix that is not a run of whole fields, that repeats a field of the batch, or whose
 * producer is out of range.
 */
export function producerIn(prefix: Uint8Array): Producer | typeof malformed | undefined {
  const reader = new WireReader(prefix, 0, prefix.length);
  let found: Producer | undefined;
  while (reader.at < prefix.length) {
    const tag = reader.tag();
    if (tag === producerTag && found === undefined) {
      const length = reader.length();
      if (length === malformed) return malformed;
      const producer = decodeProducer(prefix.subarray(reader.at, reader.at + length));
      if (producer === malformed) return malformed;
      found = producer;
      reader.at += length;
    } else {
      const field = tag >>> 3;
      if (tag === malformed || field <= lastFieldOfBatch || field === producerTag >>> 3) return malformed;
      if (reader.skip(tag) === malformed) return malformed;
    }
  }
  return found;
}

function decodeProducer(bytes: Uint8Array): Producer | typeof malformed {
  const reader = new WireReader(bytes, 0, bytes.length);
  let id = '';
  let epoch = 0;
  let sequence = 0;
  while (reader.at < bytes.length) {
    const tag = reader.tag();
    if (tag === Tag.id) {
      const length = reader.length();
      if (length === malformed || length > producerIdBytesMax) return malformed;
      const text = textOf(bytes.subarray(reader.at, reader.at + length));
      if (text === undefined) return malformed;
      id = text;
      reader.at += length;
    } else if (tag === Tag.epoch) {
      epoch = reader.safeInteger();
      if (epoch === malformed) return malformed;
    } else if (tag === Tag.sequence) {
      sequence = reader.safeInteger();
      if (sequence === malformed) return malformed;
    } else if (tag === malformed || tag >>> 3 <= 3 || reader.skip(tag) === malformed) {
      return malformed;
    }
  }
  return id === '' ? malformed : { id, epoch, sequence };
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Returns the bytes that a prefix takes up in a payload, its length included; 0 without a prefix. */
export function prefixedBytes(prefix: Uint8Array | undefined): number {
  return prefix === undefined ? 0 : lengthBytes + prefix.length;
}

/** Writes a prefix with its length. */
export function writePrefix(bytes: Uint8Array, at: number, prefix: Uint8Array): void {
  writeUint16(bytes, at, prefix.length);
  bytes.set(prefix, at + lengthBytes);
}

/** Returns the prefix that a payload begins with, as a view; `malformed` if it has none that is valid. */
export function prefixAt(bytes: Uint8Array, at: number, end: number): Uint8Array | typeof malformed {
  if (end - at < lengthBytes) return malformed;
  const prefixEnd = at + lengthBytes + readUint16(bytes, at);
  if (prefixEnd > end || prefixEnd === at + lengthBytes) return malformed;
  const prefix = bytes.subarray(at + lengthBytes, prefixEnd);
  return producerIn(prefix) === malformed ? malformed : prefix;
}
