import { readUint32, readUint64, writeUint32, writeUint64 } from './big-endian.js';
import { isNoSpaceError, type Directory } from './directory.js';
import { openIfThere, readWhole, removeIfThere } from './durable-file.js';
import { ForeignLogError, UnsupportedFormatError } from './errors.js';
import { logStartFileName, logStartSpareFileName, storeFileName } from './file-names.js';
import type { Index, Offset, Term } from './offsets.js';
import { type LogBoundary, logOrigin, sameBoundary } from './log-boundary.js';
import { logIdBytes, type BatchChecksum } from './record-batch.js';
import { decodeStoreHeader, hex, readHeader, sameBytes } from './store-header.js';

const logStartBytes = 52;
const magic = 0x474c5431; // 'GLT1'
const version = 1;
const crcAt = 48;

/**
 * Writes the log start of a prefix truncation, before the segments below it are removed, so that a crash between two
 * removals leaves leftover files instead of a gap. Replaces the file by the preallocated spare file: retention must
 * work on a full disk. When it rejects because the disk is full (`isNoSpaceError`), nothing has changed.
 */
export async function writeLogStart(
  directory: Directory,
  boundary: LogBoundary,
  checksum: BatchChecksum,
): Promise<void> {
  await writeSpare(directory, encodeLogStart(boundary, checksum));
  await directory.rename(logStartSpareFileName, logStartFileName);
  await directory.sync();
}

/**
 * Copies the log start into the spare file, which also reserves disk space for the next `writeLogStart`. Resolves to
 * false when the disk is full; call again later.
 */
export async function spareLogStart(
  directory: Directory,
  boundary: LogBoundary,
  checksum: BatchChecksum,
): Promise<boolean> {
  const bytes = encodeLogStart(boundary, checksum);
  try {
    const stored = await readWhole(directory, logStartSpareFileName);
    if (stored !== undefined && sameBytes(stored, bytes)) return true;
    // What cannot be read may not be writable in its place either.
    if (stored?.length === 0) await removeIfThere(directory, logStartSpareFileName);
    await writeSpare(directory, bytes);
    await directory.sync();
    return true;
  } catch (error) {
    if (!isNoSpaceError(error)) throw error;
    return false;
  }
}

async function writeSpare(directory: Directory, bytes: Uint8Array): Promise<void> {
  const spare =
    (await openIfThere(directory, logStartSpareFileName)) ?? (await directory.create(logStartSpareFileName));
  try {
    await spare.write(0, [bytes]);
    await spare.truncate(logStartBytes);
    await spare.sync();
  } finally {
    await spare.close();
  }
}

function encodeLogStart(boundary: LogBoundary, { crc32c, logId }: BatchChecksum): Uint8Array {
  const bytes = new Uint8Array(logStartBytes);
  writeUint32(bytes, 0, magic);
  bytes[4] = version;
  bytes.set(logId, 8);
  writeUint64(bytes, 8 + logIdBytes, boundary.offset);
  writeUint64(bytes, 16 + logIdBytes, boundary.index);
  writeUint64(bytes, 24 + logIdBytes, boundary.term);
  writeUint32(bytes, crcAt, crc32c(bytes.subarray(0, crcAt)));
  return bytes;
}

/** Reads the log start: `undefined` when the log was never truncated; `'damaged'` when the file fails its checks. */
export async function readLogStart(
  directory: Directory,
  checksum: BatchChecksum,
  fileName = logStartFileName,
): Promise<LogBoundary | 'damaged' | undefined> {
  const bytes = await readWhole(directory, fileName);
  if (!bytes) return undefined;
  if (bytes.length !== logStartBytes || readUint32(bytes, 0) !== magic) return 'damaged';
  if (readUint32(bytes, crcAt) !== checksum.crc32c(bytes.subarray(0, crcAt)) >>> 0) return 'damaged';
  if (bytes[4] !== version) throw new UnsupportedFormatError(fileName, bytes[4], version);
  const logId = bytes.subarray(8, 8 + logIdBytes);
  if (!sameBytes(logId, checksum.logId)) throw new ForeignLogError(fileName, hex(logId), hex(checksum.logId));
  return {
    offset: readUint64(bytes, 8 + logIdBytes) as Offset,
    index: readUint64(bytes, 16 + logIdBytes) as Index,
    term: readUint64(bytes, 24 + logIdBytes) as Term,
  };
}

/** Where a log starts, and what is wrong with the file that should say so. */
export interface FoundLogStart {
  readonly start: LogBoundary;
  /** Set if the start comes from the copy in the spare file or from the first segment. */
  readonly problem?: string;
}

/**
 * Finds the log start. A file that is missing, damaged or older than its copy is replaced by the copy, and without one
 * by the beginning of the first segment. A copy that is past that beginning does not count: a crash came before the
 * rename that would have made it the log start.
 *
 * @param recorded the content of the file
 * @param first the beginning of the first segment; undefined if its header is damaged
 */
export async function findLogStart(
  directory: Directory,
  recorded: LogBoundary | 'damaged' | undefined,
  first: LogBoundary | undefined,
  checksum: BatchChecksum,
): Promise<FoundLogStart> {
  const copy = await readLogStart(directory, checksum, logStartSpareFileName);
  const spare = copy === undefined || copy === 'damaged' || (first && copy.index > first.index) ? undefined : copy;
  if (recorded !== undefined && recorded !== 'damaged') {
    if (spare === undefined || first === undefined || spare.index <= recorded.index) return { start: recorded };
    return { start: spare, problem: `${logStartFileName} is older than ${logStartSpareFileName}` };
  }
  const start = spare ?? first ?? logOrigin;
  if (recorded === undefined && sameBoundary(start, logOrigin)) return { start };
  return { start, problem: `${logStartFileName} is ${recorded ?? 'missing'}` };
}

/** Returns true if a store is entirely below the log start; `next` is the base offset of the store after it. */
export function liesBelow(start: LogBoundary, base: Offset, next: Offset | undefined): boolean {
  return base < start.offset && next !== undefined && next <= start.offset;
}

/**
 * Returns true if the last store belongs to the log that `Log.reset` discarded, because a crash happened between
 * writing the new log start and creating the new segment. Such a store is below the start, or has the start's name but
 * begins before it (control batches have no offset). If entries after the start are durable, the segment that began
 * there is lost instead, and this store is all that remains.
 */
export async function isLeftByReset(
  directory: Directory,
  lastBase: Offset,
  start: LogBoundary,
  durableIndex: number,
  checksum: BatchChecksum,
): Promise<boolean> {
  if (durableIndex >= start.index || lastBase > start.offset) return false;
  if (lastBase < start.offset) return true;
  const name = storeFileName(lastBase);
  const file = await directory.open(name);
  try {
    const base = decodeStoreHeader(await readHeader(file), name, checksum);
    return base?.offset === start.offset && base.index < start.index;
  } finally {
    await file.close();
  }
}
