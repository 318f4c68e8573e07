import type { Crc32c } from '../checksum.js';
import type { Directory, File } from '../directory.js';
import { indexFileName, storeBaseOffset, storeFileName, temporarySuffix } from '../file-names.js';
import { readIndexFile, type SealedSegment } from '../index-file.js';
import { findLogStart, isLeftByReset, liesBelow, readLogStart } from '../log-start.js';
import type { Index, Offset } from '../offsets.js';
import { describeBoundary, logOrigin, sameBoundary, type LogBoundary } from '../log-boundary.js';
import { logIdBytes, type BatchChecksum } from '../record-batch.js';
import { decideRecovery } from '../recovery.js';
import { firstBatchPosition, hex, readHeader, readStoreHeader, sameBytes } from '../store-header.js';
import { describeFault, scanStore, type StoreFault, type StoreScan } from '../store-scan.js';
import { SyncedIndexFile } from '../synced-index.js';

export interface VerifyOptions {
  readonly crc32c: Crc32c;
  /** The log ID; defaults to that of the first store with a valid header. */
  readonly logId?: Uint8Array;
  /** Called after each segment. */
  readonly onProgress?: (bytesDone: number, bytesTotal: number) => void;
}

/** The result of checking one segment. */
export interface SegmentReport {
  readonly fileName: string;
  /** The size of the store. */
  readonly bytes: number;
  readonly batches: number;
  readonly records: number;
  /** The start and end of the segment's good batches; `undefined` when its header is damaged. */
  readonly base: LogBoundary | undefined;
  readonly end: LogBoundary | undefined;
  readonly isLast: boolean;
  readonly index: 'good' | 'not sealed' | 'damaged' | 'missing';
  /** The size of a torn, never synced tail at the log's end, which opening the log cuts off. */
  readonly tornBytes: number;
  readonly faults: readonly StoreFault[];
  /** Descriptions of all lost or suspect data. Empty if the segment is intact. */
  readonly problems: readonly string[];
  /** Descriptions of harmless irregularities, which opening the log repairs. */
  readonly remarks: readonly string[];
}

/**
 * Verifies the checksum and the position of every batch of a log that is not open, without changing it. Yields a report
 * for each segment, oldest first. Throws `UnsupportedFormatError`, or the directory's error.
 */
export async function* verifyLog(directory: Directory, options: VerifyOptions): AsyncGenerator<SegmentReport, void> {
  const names = await directory.list();
  const bases = names.map(storeBaseOffset).filter((base) => base !== undefined);
  const logId = options.logId ?? (await firstLogId(directory, bases, options.crc32c));
  const checksum: BatchChecksum = { crc32c: options.crc32c, logId: logId ?? new Uint8Array(logIdBytes) };
  const bytesTotal = await totalBytes(directory, bases, options.onProgress);
  const start = await readLogStart(directory, checksum);
  const synced = (await SyncedIndexFile.read(directory, checksum))?.index;
  const remarks = names.filter((name) => name.endsWith(temporarySuffix)).map((name) => `${name} was left by a crash`);
  const isBelow = (base: Offset, number: number): boolean =>
    start !== undefined && start !== 'damaged' && liesBelow(start, base, bases.at(number + 1));
  const first = bases.find((base, number) => !isBelow(base, number));
  const header = first === undefined ? undefined : await headerOf(directory, first, options.crc32c);
  const found = await findLogStart(directory, start, header?.boundary, checksum);
  if (found.problem !== undefined) remarks.push(`${found.problem}: opening the log derives the log start`);
  let expected: LogBoundary | undefined = found.start;
  let bytesDone = 0;
  for (const [number, base] of bases.entries()) {
    const isLast = number === bases.length - 1;
    if (isBelow(base, number)) {
      remarks.push(`${storeFileName(base)} is below the log start: left by a crash`);
      continue;
    }
    if (start !== 'damaged' && start !== undefined) {
      if (isLast && (await isLeftByReset(directory, base, start, synced ?? 0, checksum))) {
        remarks.push(`a crash interrupted a reset: opening the log restarts it at ${describeBoundary(start)}`);
        yield emptySegment(base, start, remarks);
        return;
      }
    }
    const report = await verifySegment(directory, base, isLast, expected, synced, checksum, remarks.splice(0));
    expected = report.end;
    bytesDone += report.bytes;
    options.onProgress?.(bytesDone, bytesTotal);
    yield report;
  }
}

/** Reports the empty store with which opening replaces the one that a reset left. */
function emptySegment(base: Offset, start: LogBoundary, remarks: string[]): SegmentReport {
  const found = {
    bytes: 0,
    batches: 0,
    records: 0,
    index: 'not sealed',
    tornBytes: 0,
    faults: [],
    problems: [],
  } as const;
  return { fileName: storeFileName(base), ...found, base: start, end: start, isLast: true, remarks };
}

async function firstLogId(
  directory: Directory,
  bases: readonly Offset[],
  crc32c: Crc32c,
): Promise<Uint8Array | undefined> {
  for (const base of bases) {
    const header = await headerOf(directory, base, crc32c);
    if (header) return header.logId;
  }
  return undefined;
}

async function headerOf(
  directory: Directory,
  base: Offset,
  crc32c: Crc32c,
): Promise<ReturnType<typeof readStoreHeader>> {
  const name = storeFileName(base);
  const bytes = await withFile(directory, name, (file) => readHeader(file));
  return readStoreHeader(bytes, name, crc32c);
}

async function totalBytes(directory: Directory, bases: readonly Offset[], wanted: unknown): Promise<number> {
  let total = 0;
  if (wanted) for (const base of bases) total += await withFile(directory, storeFileName(base), (file) => file.size());
  return total;
}

async function verifySegment(
  directory: Directory,
  base: Offset,
  isLast: boolean,
  expected: LogBoundary | undefined,
  synced: Index | undefined,
  checksum: BatchChecksum,
  remarks: string[],
): Promise<SegmentReport> {
  const fileName = storeFileName(base);
  return withFile(directory, fileName, async (file) => {
    const problems: string[] = [];
    const bytes = await file.size();
    const header = readStoreHeader(await readHeader(file), fileName, checksum.crc32c);
    const boundary = header?.boundary;
    if (!header) problems.push('the header is damaged');
    else if (!sameBytes(header.logId, checksum.logId)) problems.push(`the store belongs to log ${hex(header.logId)}`);
    if (boundary && boundary.offset !== base) problems.push(`the header belongs to ${storeFileName(boundary.offset)}`);
    if (boundary && expected && !sameBoundary(boundary, expected))
      problems.push(
        `begins at ${describeBoundary(boundary)}, but the previous segment ends at ${describeBoundary(expected)}`,
      );

    let batches = 0;
    let records = 0;
    const range = { from: firstBatchPosition, length: bytes, boundary: boundary ?? { ...logOrigin, offset: base } };
    const scan = await scanStore(file, range, checksum, ({ recordCount }) => {
      batches++;
      records += recordCount;
    });
    const { action, found } = decideRecovery({
      segment: isLast ? 'last' : 'sealed',
      badBytes: scan.faults.length > 0,
      validAfter: scan.faults.some(({ to, searchedAll }) => to !== undefined || !searchedAll),
      durableFound: (scan.faults.at(0)?.from ?? scan.boundary).index > (synced ?? 0),
      syncedKnown: synced !== undefined,
      unreadable: scan.isUnreadable,
    });
    const torn = action === 'cut the torn tail';
    if (torn) remarks.push(`${found}: ${scan.faults.map(describeFault).join('; ')}`);
    else if (action === 'quarantine')
      problems.push(...(scan.faults.length > 0 ? scan.faults.map(describeFault) : [found]));
    const index = await verifyIndex(directory, base, isLast, boundary, scan, bytes, checksum, remarks);
    const bounds = { base: boundary, end: boundary && scan.boundary };
    const tornBytes = torn ? bytes - scan.faults[0].position : 0;
    return {
      fileName,
      bytes,
      batches,
      records,
      ...bounds,
      isLast,
      index,
      tornBytes,
      faults: scan.faults,
      problems,
      remarks,
    };
  });
}

/** Checks an index file. Its faults are only remarks: an index can be rebuilt from the store. */
async function verifyIndex(
  directory: Directory,
  base: Offset,
  isLast: boolean,
  boundary: LogBoundary | undefined,
  scan: StoreScan,
  storeBytes: number,
  checksum: BatchChecksum,
  remarks: string[],
): Promise<SegmentReport['index']> {
  const name = indexFileName(base);
  const found = await readIndexFile(directory, name, 1, checksum);
  if (found === 'missing') {
    if (!isLast) remarks.push(`${name} is missing`);
    return isLast ? 'not sealed' : 'missing';
  }
  if (isLast) remarks.push(`${name} exists, but the segment is not sealed`);
  const reason = typeof found === 'string' ? found : sealMismatch(found.sealed, boundary, scan, storeBytes);
  if (reason !== undefined) remarks.push(`${name}: ${reason}`);
  return reason === undefined ? 'good' : 'damaged';
}

function sealMismatch(
  sealed: SealedSegment,
  boundary: LogBoundary | undefined,
  scan: StoreScan,
  storeBytes: number,
): string | undefined {
  if (boundary && !sameBoundary(sealed.base, boundary)) return 'does not begin where the store begins';
  if (sealed.storeLength !== storeBytes)
    return `does not match the store: expected ${sealed.storeLength} bytes, found ${storeBytes}`;
  return sameBoundary(sealed.end, scan.boundary) ? undefined : 'does not end where the store ends';
}

async function withFile<T>(directory: Directory, name: string, task: (file: File) => Promise<T>): Promise<T> {
  const file = await directory.open(name);
  try {
    return await task(file);
  } finally {
    await file.close();
  }
}
