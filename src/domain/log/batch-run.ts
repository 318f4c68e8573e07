import type { File } from './directory.js';
import type { Position } from './offsets.js';
import { follows, boundaryAfter, type LogBoundary } from './log-boundary.js';
import { parseBatch, storedBytes, type RecordBatch, type BatchChecksum } from './record-batch.js';
import type { SparseIndex } from './sparse-index.js';

/**
 * Reads the batches from an index entry on, in one read of about `bytesMax`, and passes each one, verified and in
 * sequence, to `visit` until `visit` returns false. The batches are views of one buffer. Resolves to a description of
 * the first bad batch, or `undefined`. `end` is the end of the bytes that readers may see.
 */
export async function readRun(
  file: File,
  index: SparseIndex,
  entryNumber: number,
  range: { bytesMax: number; end: Position },
  checksum: BatchChecksum,
  visit: (batch: RecordBatch, position: Position) => boolean,
): Promise<string | undefined> {
  if (entryNumber < 0 || entryNumber >= index.count) return 'not in the index';
  const { position: start, offset, index: entryIndex } = index.entry(entryNumber);
  const wanted = index.readEnd(entryNumber, range.bytesMax, range.end) - start;
  if (wanted <= 0) return 'the index points past the end of the store';
  const bytes = await file.read(start, wanted);
  let boundary: LogBoundary | undefined;
  for (let at = 0; at < wanted;) {
    const batch = parseBatch(bytes, at, bytes.length, checksum);
    if (typeof batch === 'string') return batch;
    const isNext = boundary ? follows(batch, boundary) : batch.baseOffset === offset && batch.index === entryIndex;
    if (!isNext) return 'out of place';
    if (!visit(batch, (start + at) as Position)) return undefined;
    boundary = boundaryAfter(batch);
    at += storedBytes(batch);
  }
  return undefined;
}
