import type { FaultyDirectory } from '../../src/adapters/memory/faulty-directory.js';
import { prefixAt, prefixedBytes, type Producer } from '../../src/domain/log/batch-prefix.js';
import { storeBaseOffset } from '../../src/domain/log/file-names.js';
import {
  batchHeaderBytes,
  batchIsIntact,
  type BatchKind,
  parseBatchHeader,
  producerOf,
  type BatchHeader,
  type RecordBatch,
  type BatchChecksum,
} from '../../src/domain/log/record-batch.js';
import { forEachRecord } from '../../src/domain/log/records.js';
import { storeHeaderBytes } from '../../src/domain/log/store-header.js';
import { malformed } from '../../src/domain/log/wire-reader.js';

/** The fields of a stored batch that the checks need. */
export interface StoredEntry {
  readonly index: number;
  readonly term: number;
  readonly kind: BatchKind;
  readonly baseOffset: number;
  readonly recordCount: number;
  readonly crc: number;
  readonly producer: Producer | undefined;
  /** The records, or the content of a control batch. */
  readonly payload: Uint8Array;
}

export function storedEntry(batch: RecordBatch): StoredEntry {
  const { index, term, kind, baseOffset, recordCount, header, payload } = batch;
  const crc = new DataView(header.buffer, header.byteOffset).getUint32(batchHeaderBytes - 4);
  return { index, term, kind, baseOffset, recordCount, crc, producer: producerOf(batch), payload };
}

export const sameEntry = (a: StoredEntry, b: StoredEntry): boolean =>
  a.index === b.index &&
  a.term === b.term &&
  a.baseOffset === b.baseOffset &&
  a.recordCount === b.recordCount &&
  a.crc === b.crc;

export const describeEntry = ({ index, term, baseOffset, recordCount, crc }: StoredEntry): string =>
  `entry ${index} of term ${term} at offset ${baseOffset} (${recordCount} records, crc ${crc.toString(16)})`;

/** Returns the records of a payload, each as a string that stands for its bytes. */
export function recordKeys(payload: Uint8Array): string[] {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const keys: string[] = [];
  forEachRecord(payload, (start, end) => keys.push(bytes.toString('latin1', start, end)));
  return keys;
}

/** The byte range of an entry in a store, `to` exclusive. */
export interface StoredRange {
  readonly index: number;
  readonly from: number;
  readonly to: number;
}

/** Returns the intact batches of a store, up to the first damaged one; with rot undone if asked. */
export function storedRanges(bytes: Uint8Array, checksum: BatchChecksum, before?: Uint8Array): StoredRange[] {
  const ranges: StoredRange[] = [];
  for (let at = storeHeaderBytes; at < bytes.length;) {
    const header = headerAt(bytes, at, checksum) ?? (before && headerAt(before, at, checksum));
    if (header === undefined) break;
    const to = at + batchHeaderBytes + header.payloadLength;
    ranges.push({ index: header.index, from: at, to });
    at = to;
  }
  return ranges;
}

/** Reads the batch that ends within the bytes; with a checksum, only an intact one. */
function headerAt(bytes: Uint8Array, at: number, checksum: BatchChecksum | undefined): BatchHeader | undefined {
  const header = parseBatchHeader(bytes, at);
  if (typeof header === 'string' || at + batchHeaderBytes + header.payloadLength > bytes.length) return undefined;
  return checksum === undefined || batchIsIntact(header, bytes, at, checksum) ? header : undefined;
}

/**
 * Returns all entries in the stores of a log directory, in order, as far as each store goes without a gap. `verified`
 * checks checksums. `restored` gives a store as it was before it rotted: entries that are no longer intact are read
 * from there. Takes no virtual time.
 */
export async function scanStores(
  directory: FaultyDirectory,
  checksum: BatchChecksum,
  verified: boolean,
  restored: (name: string, bytes: Uint8Array) => Uint8Array | undefined = () => undefined,
): Promise<StoredEntry[]> {
  const names = (await directory.list()).filter((name) => storeBaseOffset(name) !== undefined);
  const entries: StoredEntry[] = [];
  for (const name of names) {
    const found = directory.peek(name);
    const before = restored(name, found);
    for (let at = storeHeaderBytes; at < found.length;) {
      let bytes = found;
      let header = headerAt(bytes, at, verified || before !== undefined ? checksum : undefined);
      if (header === undefined && before !== undefined) header = headerAt((bytes = before), at, checksum);
      if (header === undefined) break;
      const end = at + batchHeaderBytes + header.payloadLength;
      if (isNext(header, entries.at(-1))) entries.push(entryAt(bytes, at + batchHeaderBytes, end, header));
      else if (entries.length > 0 && header.index > entries[entries.length - 1].index + 1) break;
      at = end;
    }
  }
  return entries;
}

function entryAt(bytes: Uint8Array, from: number, end: number, header: BatchHeader): StoredEntry {
  const prefix = header.hasPrefix ? prefixAt(bytes, from, end) : undefined;
  // Rot may have hit it, and the entry counts as one without a producer.
  const whole = prefix === malformed ? undefined : prefix;
  const payload = bytes.subarray(from + prefixedBytes(whole), end);
  return { ...header, producer: producerOf({ prefix: whole }), payload };
}

function isNext({ index }: BatchHeader, last: StoredEntry | undefined): boolean {
  return last === undefined || index === last.index + 1;
}
