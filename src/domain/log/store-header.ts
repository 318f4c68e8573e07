import { readUint32, readUint64, writeUint32, writeUint64 } from './big-endian.js';
import type { File } from './directory.js';
import { unlessUnreadable } from './durable-file.js';
import { ForeignLogError, UnsupportedFormatError } from './errors.js';
import type { Index, Offset, Term } from './offsets.js';
import { toPosition } from './offsets.js';
import type { LogBoundary } from './log-boundary.js';
import { logIdBytes, type BatchChecksum } from './record-batch.js';

export const storeHeaderBytes = 52;
/** The position of a store's first batch. */
export const firstBatchPosition = toPosition(storeHeaderBytes);

const magic = 0x474c5331; // 'GLS1'
const version = 1;
const logIdAt = 8;
const crcAt = 48;

/**
 * Encodes a store header: see docs/storage-format.md. `boundary` is the log boundary before the store's first batch.
 */
export function encodeStoreHeader(boundary: LogBoundary, { crc32c, logId }: BatchChecksum): Uint8Array {
  const bytes = new Uint8Array(storeHeaderBytes);
  writeUint32(bytes, 0, magic);
  bytes[4] = version;
  bytes.set(logId, logIdAt);
  writeUint64(bytes, logIdAt + logIdBytes, boundary.offset);
  writeUint64(bytes, logIdAt + logIdBytes + 8, boundary.index);
  writeUint64(bytes, logIdAt + logIdBytes + 16, boundary.term);
  writeUint32(bytes, crcAt, crc32c(bytes.subarray(0, crcAt)));
  return bytes;
}

/** Returns the bytes of a store's header; none if the disk cannot read them. */
export function readHeader(file: File): Promise<Uint8Array> {
  return unlessUnreadable(() => file.read(0, storeHeaderBytes), new Uint8Array(0));
}

/**
 * Returns the boundary in a store's header, or `undefined` when the bytes are damaged. The CRC is not seeded with the
 * log ID, so that a foreign file can be distinguished from a damaged one: throws `ForeignLogError` or
 * `UnsupportedFormatError`.
 */
export function decodeStoreHeader(
  bytes: Uint8Array,
  fileName: string,
  checksum: BatchChecksum,
): LogBoundary | undefined {
  const header = readStoreHeader(bytes, fileName, checksum.crc32c);
  if (header && !sameBytes(header.logId, checksum.logId))
    throw new ForeignLogError(fileName, hex(header.logId), hex(checksum.logId));
  return header?.boundary;
}

/** Decodes like `decodeStoreHeader`, but returns the log ID instead of checking it. */
export function readStoreHeader(
  bytes: Uint8Array,
  fileName: string,
  crc32c: BatchChecksum['crc32c'],
): { boundary: LogBoundary; logId: Uint8Array } | undefined {
  if (bytes.length < storeHeaderBytes || readUint32(bytes, 0) !== magic) return undefined;
  if (readUint32(bytes, crcAt) !== crc32c(bytes.subarray(0, crcAt)) >>> 0) return undefined;
  if (bytes[4] !== version) throw new UnsupportedFormatError(fileName, bytes[4], version);
  const offset = readUint64(bytes, logIdAt + logIdBytes);
  const index = readUint64(bytes, logIdAt + logIdBytes + 8);
  const term = readUint64(bytes, logIdAt + logIdBytes + 16);
  if (![offset, index, term].every(Number.isSafeInteger)) return undefined;
  return {
    boundary: { offset: offset as Offset, index: index as Index, term: term as Term },
    logId: bytes.slice(logIdAt, logIdAt + logIdBytes),
  };
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
