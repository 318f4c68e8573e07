import type { File } from './directory.js';
import { unlessUnreadable } from './durable-file.js';
import type { Position } from './offsets.js';
import { follows, boundaryAfter, type LogBoundary } from './log-boundary.js';
import { parseBatch, storedBytes, type RecordBatch, type BatchChecksum } from './record-batch.js';
import type { SparseIndex } from './sparse-index.js';

/**
 * Reads the batches from an index entry on, in one read of about `bytesMax`, and passes each one, verified and in
 * sequence, to `visit` until `visit` returns false. The batches are views of one buffer. Resolves to a description of
 * the first bad batch, or `undefined`. `end` is the end of the bytes that readers may see. What the disk cannot read is
 * bad, but not what is before it.
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
  const bytes = await readGood(file, start, wanted);
  if (bytes.length === 0) return 'unreadable';
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

/** What a disk reads at a time. */
const blockBytes = 4096;

/** Reads up to the first block that the disk cannot read. */
async function readGood(file: File, position: number, count: number): Promise<Uint8Array> {
  const whole = await unlessUnreadable(() => file.read(position, count), undefined);
  if (whole !== undefined) return whole;
  const bytes = new Uint8Array(count);
  for (let at = position; at < position + count;) {
    const length = Math.min(blockBytes - (at % blockBytes), position + count - at);
    const from = at;
    const block = await unlessUnreadable(() => file.read(from, length), new Uint8Array(0));
    bytes.set(block, at - position);
    at += block.length;
    if (block.length < length) return bytes.subarray(0, at - position);
  }
  return bytes;
}
