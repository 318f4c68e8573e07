import { readUint32, readUint64, writeUint32, writeUint64 } from './big-endian.js';
import type { Directory } from './directory.js';
import { openIfThere, readWhole, unlessUnreadable } from './durable-file.js';
import type { EpochMs, Index, Offset, Position, Term } from './offsets.js';
import type { LogBoundary } from './log-boundary.js';
import { logIdBytes, type BatchChecksum } from './record-batch.js';
import { sameBytes } from './store-header.js';
import { SparseIndex, indexEntryBytes } from './sparse-index.js';

/**
 * The contents of an index file's footer. The index file of a sealed segment holds the index entries, then a footer
 * that describes the whole store. A segment counts as sealed if the footer matches its store; the file can always be
 * rebuilt from the store. See docs/storage-format.md.
 */
export interface SealedSegment {
  readonly base: LogBoundary;
  readonly end: LogBoundary;
  /** The length of the store, which ends with a complete batch. */
  readonly storeLength: Position;
  readonly maxTimeMs: EpochMs;
}

export const indexFooterBytes = 100;
const magic = 0x474c4931; // 'GLI1'
const version = 1;
const countAt = 88;
const entriesCrcAt = 92;
const crcAt = 96;

export function encodeIndexFile(
  sealed: SealedSegment,
  index: SparseIndex,
  { crc32c, logId }: BatchChecksum,
): Uint8Array[] {
  const entries = index.encode();
  const footer = new Uint8Array(indexFooterBytes);
  writeUint32(footer, 0, magic);
  footer[4] = version;
  footer.set(logId, 8);
  const { base, end } = sealed;
  const { storeLength, maxTimeMs } = sealed;
  [base.offset, base.index, base.term, end.offset, end.index, end.term, storeLength, maxTimeMs].forEach(
    (number: number, i) => writeUint64(footer, 8 + logIdBytes + i * 8, number),
  );
  writeUint32(footer, countAt, index.count);
  writeUint32(footer, entriesCrcAt, crc32c(entries));
  writeUint32(footer, crcAt, crc32c(footer.subarray(0, crcAt)));
  return [entries, footer];
}

interface Footer extends SealedSegment {
  readonly count: number;
  readonly entriesCrc: number;
}

function decodeFooter(bytes: Uint8Array, { crc32c, logId }: BatchChecksum): Footer | string {
  if (bytes.length !== indexFooterBytes) return 'short';
  if (readUint32(bytes, 0) !== magic || bytes[4] !== version) return 'no index footer';
  if (readUint32(bytes, crcAt) !== crc32c(bytes.subarray(0, crcAt)) >>> 0) return 'footer checksum mismatch';
  if (!sameBytes(bytes.subarray(8, 8 + logIdBytes), logId)) return 'belongs to another log';
  const number = (i: number): number => readUint64(bytes, 8 + logIdBytes + i * 8);
  return {
    base: { offset: number(0) as Offset, index: number(1) as Index, term: number(2) as Term },
    end: { offset: number(3) as Offset, index: number(4) as Index, term: number(5) as Term },
    storeLength: number(6) as Position,
    maxTimeMs: number(7) as EpochMs,
    count: readUint32(bytes, countAt),
    entriesCrc: readUint32(bytes, entriesCrcAt),
  };
}

/** Reads the footer only. Returns its contents, or the reason why it cannot be used. */
export function readIndexFooter(
  directory: Directory,
  name: string,
  checksum: BatchChecksum,
): Promise<SealedSegment | string> {
  return unlessUnreadable(() => readFooter(directory, name, checksum), 'unreadable');
}

async function readFooter(
  directory: Directory,
  name: string,
  checksum: BatchChecksum,
): Promise<SealedSegment | string> {
  const file = await openIfThere(directory, name);
  if (!file) return 'missing';
  try {
    const size = await file.size();
    if (size < indexFooterBytes) return 'short';
    const footer = decodeFooter(await file.read(size - indexFooterBytes, indexFooterBytes), checksum);
    if (typeof footer === 'string') return footer;
    return size === footer.count * indexEntryBytes + indexFooterBytes ? footer : 'length does not match the footer';
  } finally {
    await file.close();
  }
}

/** Reads the whole index and verifies every checksum. Returns the index, or the reason why it cannot be used. */
export async function readIndexFile(
  directory: Directory,
  name: string,
  intervalBytes: number,
  checksum: BatchChecksum,
): Promise<{ index: SparseIndex; sealed: SealedSegment } | string> {
  const bytes = await readWhole(directory, name);
  if (!bytes) return 'missing';
  const entriesLength = bytes.length - indexFooterBytes;
  if (entriesLength < 0) return 'short';
  const footer = decodeFooter(bytes.subarray(entriesLength), checksum);
  if (typeof footer === 'string') return footer;
  if (entriesLength !== footer.count * indexEntryBytes) return 'length does not match the footer';
  const entries = bytes.subarray(0, entriesLength);
  if (checksum.crc32c(entries) >>> 0 !== footer.entriesCrc) return 'entries checksum mismatch';
  return { index: SparseIndex.decode(entries, footer.base.offset, footer.base.index, intervalBytes), sealed: footer };
}
