import type { Directory, File } from '../directory.js';
import { storeBaseOffset, storeFileName } from '../file-names.js';
import { isLeftByReset, liesBelow, readLogStart } from '../log-start.js';
import { follows, boundaryAfter, type LogBoundary } from '../log-boundary.js';
import {
  batchHeaderBytes,
  parseBatch,
  parseBatchHeader,
  storedBytes,
  type RecordBatch,
  type BatchChecksum,
} from '../record-batch.js';
import { decodeStoreHeader, firstBatchPosition, storeHeaderBytes } from '../store-header.js';
import { SyncedIndexFile } from '../synced-index.js';

const chunkBytes = 1 << 20;

/**
 * Yields all batches of a log that is not open, in order, without changing it: about 1 MiB at a time, as views of one
 * buffer. Ends at the first bytes that are not the next batch and returns the fault; `undefined` at a clean end. Throws
 * as `verifyLog` does, and `ForeignLogError`.
 */
export async function* readStoredBatches(
  directory: Directory,
  checksum: BatchChecksum,
): AsyncGenerator<readonly RecordBatch[], string | undefined> {
  const bases = (await directory.list()).map(storeBaseOffset).filter((base) => base !== undefined);
  const start = await readLogStart(directory, checksum);
  const durableIndex = (await SyncedIndexFile.read(directory, checksum))?.index ?? 0;
  let boundary: LogBoundary | undefined;
  for (const [number, base] of bases.entries()) {
    const next = bases.at(number + 1);
    if (start !== undefined && start !== 'damaged') {
      if (liesBelow(start, base, next)) continue;
      if (next === undefined && (await isLeftByReset(directory, base, start, durableIndex, checksum))) return undefined;
    }
    const name = storeFileName(base);
    const file = await directory.open(name);
    try {
      const header = decodeStoreHeader(await file.read(0, storeHeaderBytes), name, checksum);
      if (!header) return `the header of ${name} is damaged`;
      if (boundary && !follows({ ...header, baseOffset: header.offset, recordCount: 0 }, boundary))
        return `${name} does not begin where the previous segment ends`;
      boundary = header;
      for (let position: number = firstBatchPosition; ;) {
        const { batches, end, fault } = await readChunk(file, position, boundary, checksum);
        if (batches.length > 0) {
          boundary = boundaryAfter(batches[batches.length - 1]);
          yield batches;
        }
        if (fault !== undefined) return `${fault} at position ${end} of ${name}`;
        if (end === position) break;
        position = end;
      }
    } finally {
      await file.close();
    }
  }
  return undefined;
}

/**
 * Reads the whole batches in the next chunk of a store, or the next batch if it is longer than a chunk; none at the
 * end.
 */
async function readChunk(
  file: File,
  position: number,
  first: LogBoundary,
  checksum: BatchChecksum,
): Promise<{ batches: RecordBatch[]; end: number; fault: string | undefined }> {
  let bytes = await file.read(position, chunkBytes);
  const header = parseBatchHeader(bytes, 0);
  const firstBytes = typeof header === 'string' ? 0 : batchHeaderBytes + header.payloadLength;
  const mayBeShort = bytes.length === chunkBytes;
  if (mayBeShort && firstBytes > bytes.length) bytes = await file.read(position, firstBytes);
  const batches: RecordBatch[] = [];
  let boundary = first;
  let at = 0;
  while (at < bytes.length) {
    const batch = parseBatch(bytes, at, bytes.length, checksum);
    if (typeof batch === 'string') {
      const cutOff = mayBeShort && at > 0 && (batch === 'short header' || batch === 'short payload');
      return { batches, end: position + at, fault: cutOff ? undefined : batch };
    }
    if (!follows(batch, boundary)) return { batches, end: position + at, fault: 'out of place' };
    batches.push(batch);
    boundary = boundaryAfter(batch);
    at += storedBytes(batch);
  }
  return { batches, end: position + at, fault: undefined };
}
