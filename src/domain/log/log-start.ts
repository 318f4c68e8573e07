import { readUint32, readUint64, writeUint32, writeUint64 } from './big-endian.js';
import { isNoSpaceError, type Directory, type File } from './directory.js';
import { openIfThere, readWhole } from './durable-file.js';
import { ForeignLogError, UnsupportedFormatError } from './errors.js';
import { logStartFileName, logStartSpareFileName, storeFileName } from './file-names.js';
import type { Index, Offset, Term } from './offsets.js';
import type { LogBoundary } from './log-boundary.js';
import { logIdBytes, type BatchChecksum } from './record-batch.js';
import { decodeStoreHeader, hex, sameBytes, storeHeaderBytes } from './store-header.js';

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
  { crc32c, logId }: BatchChecksum,
): Promise<void> {
  const bytes = new Uint8Array(logStartBytes);
  writeUint32(bytes, 0, magic);
  bytes[4] = version;
  bytes.set(logId, 8);
  writeUint64(bytes, 8 + logIdBytes, boundary.offset);
  writeUint64(bytes, 16 + logIdBytes, boundary.index);
  writeUint64(bytes, 24 + logIdBytes, boundary.term);
  writeUint32(bytes, crcAt, crc32c(bytes.subarray(0, crcAt)));
  const spare =
    (await openIfThere(directory, logStartSpareFileName)) ?? (await directory.create(logStartSpareFileName));
  try {
    await spare.write(0, [bytes]);
    await spare.truncate(logStartBytes);
    await spare.sync();
  } finally {
    await spare.close();
  }
  await directory.rename(logStartSpareFileName, logStartFileName);
  await directory.sync();
}

/** Reserves disk space for the next `writeLogStart`. Resolves to false when the disk is full; call again later. */
export async function spareLogStart(directory: Directory): Promise<boolean> {
  let spare: File | undefined;
  try {
    spare = (await openIfThere(directory, logStartSpareFileName)) ?? (await directory.create(logStartSpareFileName));
    if ((await spare.size()) < logStartBytes) {
      await spare.write(0, [new Uint8Array(logStartBytes)]);
      await spare.sync();
      await directory.sync();
    }
    return true;
  } catch (error) {
    if (!isNoSpaceError(error)) throw error;
    return false;
  } finally {
    await spare?.close();
  }
}

/** Reads the log start: `undefined` when the log was never truncated; `'damaged'` when the file fails its checks. */
export async function readLogStart(
  directory: Directory,
  checksum: BatchChecksum,
): Promise<LogBoundary | 'damaged' | undefined> {
  const bytes = await readWhole(directory, logStartFileName);
  if (!bytes) return undefined;
  if (bytes.length !== logStartBytes || readUint32(bytes, 0) !== magic) return 'damaged';
  if (readUint32(bytes, crcAt) !== checksum.crc32c(bytes.subarray(0, crcAt)) >>> 0) return 'damaged';
  if (bytes[4] !== version) throw new UnsupportedFormatError(logStartFileName, bytes[4], version);
  const logId = bytes.subarray(8, 8 + logIdBytes);
  if (!sameBytes(logId, checksum.logId)) throw new ForeignLogError(logStartFileName, hex(logId), hex(checksum.logId));
  return {
    offset: readUint64(bytes, 8 + logIdBytes) as Offset,
    index: readUint64(bytes, 16 + logIdBytes) as Index,
    term: readUint64(bytes, 24 + logIdBytes) as Term,
  };
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
    const base = decodeStoreHeader(await file.read(0, storeHeaderBytes), name, checksum);
    return base?.offset === start.offset && base.index < start.index;
  } finally {
    await file.close();
  }
}
