import type { File } from './directory.js';
import type { Position } from './offsets.js';
import { follows, boundaryAfter, type LogBoundary } from './log-boundary.js';
import { parseBatch, storedBytes, type RecordBatch, type BatchChecksum } from './record-batch.js';
import type { SparseIndex } from './sparse-index.js';

/**
 * Reads the batches from an index entry on, in one read of about `bytesMax`, and gives each to `take`, verified and in
 * its place, until that returns false. The batches are views of one buffer. Resolves to what is wrong with the first
 * one that is not as it should be, or `undefined`. `end` is where the bytes end that readers may see.
 */
export async function readRun(
  file: File,
  index: SparseIndex,
  entryNumber: number,
  range: { bytesMax: number; end: Position },
  checksum: BatchChecksum,
  take: (batch: RecordBatch, position: Position) => boolean,
): Promise<string | undefined> {
  if (entryNumber < 0 || entryNumber >= index.count) return 'not in the index';
  const { position: start, offset, index: entryIndex } = index.entry(entryNumber);
  const wanted = index.readEnd(entryNumber, range.bytesMax, range.end) - start;
  if (wanted <= 0) return 'the index points beyond the store';
  const bytes = await file.read(start, wanted);
  let place: LogBoundary | undefined;
  for (let at = 0; at < wanted;) {
    const batch = parseBatch(bytes, at, bytes.length, checksum);
    if (typeof batch === 'string') return batch;
    const inPlace = place ? follows(batch, place) : batch.baseOffset === offset && batch.index === entryIndex;
    if (!inPlace) return 'out of place';
    if (!take(batch, (start + at) as Position)) return undefined;
    place = boundaryAfter(batch);
    at += storedBytes(batch);
  }
  return undefined;
}
