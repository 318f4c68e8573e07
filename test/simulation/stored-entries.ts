import type { FaultyDirectory } from '../../src/adapters/memory/faulty-directory.js';
import { storeBaseOffset } from '../../src/domain/log/file-names.js';
import {
  batchHeaderBytes,
  batchIsIntact,
  parseBatchHeader,
  type BatchHeader,
  type RecordBatch,
  type BatchChecksum,
} from '../../src/domain/log/record-batch.js';
import { forEachRecord } from '../../src/domain/log/records.js';
import { storeHeaderBytes } from '../../src/domain/log/store-header.js';

/** The fields of a stored batch that the checks need. */
export interface StoredEntry {
  readonly index: number;
  readonly term: number;
  readonly baseOffset: number;
  readonly recordCount: number;
  readonly crc: number;
  readonly payload: Uint8Array;
}

export function storedEntry(batch: RecordBatch): StoredEntry {
  const { index, term, baseOffset, recordCount, header, payload } = batch;
  const crc = new DataView(header.buffer, header.byteOffset).getUint32(batchHeaderBytes - 4);
  return { index, term, baseOffset, recordCount, crc, payload };
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
      if (isNext(header, entries.at(-1)))
        entries.push({ ...header, payload: bytes.subarray(at + batchHeaderBytes, end) });
      else if (entries.length > 0 && header.index > entries[entries.length - 1].index + 1) break;
      at = end;
    }
  }
  return entries;
}

function isNext({ index }: BatchHeader, last: StoredEntry | undefined): boolean {
  return last === undefined || index === last.index + 1;
}
