import { type Producer, prefixAt, prefixedBytes, producerIn, writePrefix } from './batch-prefix.js';
import { readUint32, readUint64, writeUint16, writeUint32, writeUint64 } from './big-endian.js';
import type { Crc32c } from './checksum.js';
import { invariant } from './invariant.js';
import type { EpochMs, Index, Offset, Term } from './offsets.js';
import { malformed } from './wire-reader.js';

/** The content of a batch. Control kinds have an index but no offset (`recordCount` 0). */
export const BatchKind = { records: 0, noop: 1, configuration: 2, producers: 4 } as const;
export type BatchKind = (typeof BatchKind)[keyof typeof BatchKind];

/**
 * Validated records that have no offset yet. `payload` is a run of length-delimited protobuf fields, tag 0x22 (field 4
 * of `golog.v1.RecordBatch`), one per record, without the server's fields; it goes unchanged to disk, to the followers
 * and to the readers. The receiver owns the buffer: the caller must not touch it again.
 */
export interface Records {
  /** See `BatchFields`. */
  readonly prefix?: Uint8Array | undefined;
  readonly payload: Uint8Array;
  readonly count: number;
}

/** The position and content of a batch, before its header is built. */
export interface BatchFields {
  readonly kind: BatchKind;
  readonly index: Index;
  readonly term: Term;
  /** The offset of the first record; in a control batch, the offset that the next record will get. */
  readonly baseOffset: Offset;
  readonly recordCount: number;
  readonly appendTimeMs: EpochMs;
  /**
   * Encoded fields of `golog.v1.RecordBatch` that apply to the batch as a whole, and so to every part of it. Stored
   * between the header and the records, so that what walks or slices records never meets it. Only record batches have
   * one.
   */
  readonly prefix?: Uint8Array | undefined;
  readonly payload: Uint8Array;
}

/** A batch with its position in the log: the unit of replication, durability and transfer, and one Raft entry. */
export interface RecordBatch extends BatchFields {
  /** Everything that is stored before the payload: the sealed header, CRC included, and the prefix with its length. */
  readonly header: Uint8Array;
}

/** A parsed header whose fields are in range, but whose CRC is not checked yet. */
export interface BatchHeader extends Omit<BatchFields, 'payload' | 'prefix'> {
  readonly hasPrefix: boolean;
  /** Bytes after the header: the prefix, if there is one, and the records. */
  readonly payloadLength: number;
  readonly crc: number;
}

/** Binds stored bytes to their log. An open log uses one object throughout. */
export interface BatchChecksum {
  readonly crc32c: Crc32c;
  /** 16 bytes, the same on every node of a cluster; never changed. */
  readonly logId: Uint8Array;
}

export const logIdBytes = 16;

export const batchHeaderBytes = 52;
/** Longer payloads are never written; a header with a greater length is not valid. */
export const batchPayloadBytesMax = 16 << 20;

export const batchMagic = 0x474c4231; // 'GLB1'
const version = 1;
const crcAt = 48;

/** The attribute that says that the stored payload begins with a prefix. */
const prefixAttribute = 1;

/**
 * Builds the header: see docs/storage-format.md. The CRC-32C covers the log ID, the header before the CRC, and the
 * payload, so that a batch of another log never parses. Throws `RangeError` for fields that the format cannot hold.
 */
export function sealBatch(fields: BatchFields, checksum: BatchChecksum): RecordBatch {
  const { kind, index, term, baseOffset, recordCount, appendTimeMs, prefix, payload } = fields;
  const prefixBytes = prefixedBytes(prefix);
  const payloadLength = prefixBytes + payload.length;
  if (payloadLength > batchPayloadBytesMax)
    throw new RangeError(
      `the payload of a batch has ${payloadLength} bytes; the limit of the format is ${batchPayloadBytesMax}`,
    );
  if ((kind === BatchKind.records) !== recordCount > 0)
    throw new RangeError(`a batch of kind ${kind} cannot have ${recordCount} records`);
  if (prefix !== undefined && kind !== BatchKind.records)
    throw new RangeError(`a batch of kind ${kind} cannot have a prefix`);
  const header = new Uint8Array(batchHeaderBytes + prefixBytes);
  writeUint32(header, 0, batchMagic);
  header[4] = version;
  header[5] = kind;
  writeUint16(header, 6, prefix === undefined ? 0 : prefixAttribute);
  writeUint32(header, 8, payloadLength);
  writeUint32(header, 12, recordCount);
  writeUint64(header, 16, baseOffset);
  writeUint64(header, 24, index);
  writeUint64(header, 32, term);
  writeUint64(header, 40, appendTimeMs);
  if (prefix !== undefined) writePrefix(header, batchHeaderBytes, prefix);
  writeUint32(header, crcAt, batchCrc(header, payload, checksum));
  return { kind, index, term, baseOffset, recordCount, appendTimeMs, header, prefix, payload };
}

function batchCrc(header: Uint8Array, payload: Uint8Array, checksum: BatchChecksum): number {
  let crc = checksum.crc32c(header.subarray(0, crcAt), logIdCrc(checksum));
  if (header.length > batchHeaderBytes) crc = checksum.crc32c(header.subarray(batchHeaderBytes), crc);
  return checksum.crc32c(payload, crc) >>> 0;
}

/** Cached, because the call into native code costs about as much as the CRC of a small batch. */
const logIdCrcs = new WeakMap<BatchChecksum, number>();

function logIdCrc(checksum: BatchChecksum): number {
  let crc = logIdCrcs.get(checksum);
  if (crc === undefined) logIdCrcs.set(checksum, (crc = checksum.crc32c(checksum.logId)));
  return crc;
}

/** The reason why bytes are not a valid batch. */
export type BatchFault =
  | 'short header'
  | 'no batch magic'
  | 'unknown version'
  | 'unknown kind or attributes'
  | 'lengths or counts out of range'
  | 'short payload'
  | 'malformed prefix'
  | 'checksum mismatch'
  | 'unreadable';

/**
 * Parses the 52 header bytes at `position`; `end` (default: all of `bytes`) is the end of the readable bytes. The
 * payload need not be present. Does not check the CRC: `parseBatch` does.
 */
export function parseBatchHeader(bytes: Uint8Array, position: number, end = bytes.length): BatchHeader | BatchFault {
  if (end - position < batchHeaderBytes) return 'short header';
  if (readUint32(bytes, position) !== batchMagic) return 'no batch magic';
  if (bytes[position + 4] !== version) return 'unknown version';
  const kind = bytes[position + 5];
  const attributes = bytes[position + 7];
  const hasPrefix = attributes === prefixAttribute && kind === BatchKind.records;
  if (!isBatchKind(kind) || bytes[position + 6] !== 0 || (attributes !== 0 && !hasPrefix))
    return 'unknown kind or attributes';
  const payloadLength = readUint32(bytes, position + 8);
  const recordCount = readUint32(bytes, position + 12);
  const baseOffset = readUint64(bytes, position + 16);
  const index = readUint64(bytes, position + 24);
  const term = readUint64(bytes, position + 32);
  const appendTimeMs = readUint64(bytes, position + 40);
  if (
    payloadLength > batchPayloadBytesMax ||
    (kind === BatchKind.records) !== recordCount > 0 ||
    baseOffset + recordCount > Number.MAX_SAFE_INTEGER ||
    index > Number.MAX_SAFE_INTEGER ||
    term > Number.MAX_SAFE_INTEGER ||
    appendTimeMs > Number.MAX_SAFE_INTEGER
  )
    return 'lengths or counts out of range';
  return {
    kind,
    index: index as Index,
    term: term as Term,
    baseOffset: baseOffset as Offset,
    recordCount,
    appendTimeMs: appendTimeMs as EpochMs,
    hasPrefix,
    payloadLength,
    crc: readUint32(bytes, position + crcAt),
  };
}

function isBatchKind(kind: number): kind is BatchKind {
  return kind <= BatchKind.configuration || kind === BatchKind.producers;
}

/**
 * Returns true if a parsed header and the payload after it match the CRC that was computed for this log, and `parseBatch`
 * accepts the batch.
 */
export function batchIsIntact(
  header: BatchHeader,
  bytes: Uint8Array,
  position: number,
  checksum: BatchChecksum,
): boolean {
  if (!matchesCrc(header, bytes, position, checksum)) return false;
  const payloadAt = position + batchHeaderBytes;
  return !header.hasPrefix || prefixAt(bytes, payloadAt, payloadAt + header.payloadLength) !== malformed;
}

function matchesCrc(header: BatchHeader, bytes: Uint8Array, position: number, checksum: BatchChecksum): boolean {
  const headerCrc = checksum.crc32c(bytes.subarray(position, position + crcAt), logIdCrc(checksum));
  const payloadAt = position + batchHeaderBytes;
  return checksum.crc32c(bytes.subarray(payloadAt, payloadAt + header.payloadLength), headerCrc) >>> 0 === header.crc;
}

/**
 * Parses and verifies the batch at `position`, or returns the reason why it is invalid. Header and payload are views of
 * `bytes`. The caller checks index, offset and term against the previous batch.
 */
export function parseBatch(
  bytes: Uint8Array,
  position: number,
  end: number,
  checksum: BatchChecksum,
): RecordBatch | BatchFault {
  const header = parseBatchHeader(bytes, position, end);
  if (typeof header === 'string') return header;
  const payloadAt = position + batchHeaderBytes;
  const batchEnd = payloadAt + header.payloadLength;
  if (batchEnd > end) return 'short payload';
  if (!matchesCrc(header, bytes, position, checksum)) return 'checksum mismatch';
  const { kind, index, term, baseOffset, recordCount, appendTimeMs } = header;
  const prefix = header.hasPrefix ? prefixAt(bytes, payloadAt, batchEnd) : undefined;
  if (prefix === malformed) return 'malformed prefix';
  const recordsAt = payloadAt + prefixedBytes(prefix);
  return {
    kind,
    index,
    term,
    baseOffset,
    recordCount,
    appendTimeMs,
    header: bytes.subarray(position, recordsAt),
    prefix,
    payload: bytes.subarray(recordsAt, batchEnd),
  };
}

/** Returns the producer that numbered the batch, decoded at each call. */
export function producerOf({ prefix }: Pick<BatchFields, 'prefix'>): Producer | undefined {
  if (prefix === undefined) return undefined;
  const producer = producerIn(prefix);
  invariant(producer !== malformed, 'a prefix was checked when its batch was parsed or built');
  return producer;
}

/** Returns the number of bytes that the batch takes up in a store. */
export function storedBytes(batch: RecordBatch): number {
  return batch.header.length + batch.payload.length;
}
