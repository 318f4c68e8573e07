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
 * The log start after a prefix truncation, durable before the segments below it go, so that a crash between two
 * removals leaves rubbish and not a hole. Replaced as a whole, by the spare file, which has its space already: retention
 * must work on a full disk. When it rejects for want of space (`isNoSpaceError`) nothing has changed.
 */
export async function writeLogStart(
  directory: Directory,
  place: LogBoundary,
  { crc32c, logId }: BatchChecksum,
): Promise<void> {
  const bytes = new Uint8Array(logStartBytes);
  writeUint32(bytes, 0, magic);
  bytes[4] = version;
  bytes.set(logId, 8);
  writeUint64(bytes, 8 + logIdBytes, place.offset);
  writeUint64(bytes, 16 + logIdBytes, place.index);
  writeUint64(bytes, 24 + logIdBytes, place.term);
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

/** Sets space aside for the next `writeLogStart`. False when there is none; to be tried again. */
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

/** `undefined` when the log was never truncated; `'damaged'` when the record does not pass its checks. */
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

/** Whether a store, with `next` the base offset of the one after it, lies wholly below the log start. */
export function liesBelow(start: LogBoundary, base: Offset, next: Offset | undefined): boolean {
  return base < start.offset && next !== undefined && next <= start.offset;
}

/**
 * Whether the last store is of the log that `Log.reset` gave up, because a crash came between the new log start and the
 * new segment: it is below the start, or has its name and begins before it (control batches take no offset). With
 * something durable beyond the start, the segment that began there is lost, and this one is all there is.
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
