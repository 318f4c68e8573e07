import type { Directory, File } from './directory.js';
import { createDurably } from './durable-file.js';
import { indexFileName, storeFileName } from './file-names.js';
import type { SealedSegment } from './index-file.js';
import type { EpochMs, Position } from './offsets.js';
import { toEpochMs } from './offsets.js';
import { boundaryAfter, type LogBoundary } from './log-boundary.js';
import { storedBytes, type BatchHeader, type RecordBatch, type BatchChecksum } from './record-batch.js';
import { SparseIndex } from './sparse-index.js';
import { encodeStoreHeader, firstBatchPosition } from './store-header.js';

/**
 * A store file and its metadata. The last segment of a log is the active one: it grows, and its index is in memory. The
 * others are sealed: their index is in a file, and loaded only while it is needed.
 *
 *   base ──────────── end          log boundaries
 *   52 ─────────── length          positions of the bytes that readers may see
 */
export class Segment {
  readonly storeName: string;
  readonly indexName: string;
  /**
   * Set while the segment is active, and for a damaged segment while the log is open; otherwise see the log's index
   * cache.
   */
  index: SparseIndex | undefined;
  length: Position;
  end: LogBoundary;
  maxTimeMs: EpochMs;
  /** True if the store's header was damaged since the log was opened: its batches may be good. */
  hasBadHeader = false;
  /** True if the store's header is damaged: nothing is read from this segment. */
  readonly unreadable: boolean;
  /** The append time of the last batch; undefined for a sealed segment and without batches. */
  lastTimeMs: EpochMs | undefined;
  /** The append time of the first batch; the segment's age counts from it. */
  #firstTimeMs: EpochMs | undefined;

  /** The file names are derived from `base.offset`. */
  constructor(
    readonly base: LogBoundary,
    state: { length: Position; end: LogBoundary; maxTimeMs: EpochMs; index?: SparseIndex; unreadable?: boolean },
  ) {
    this.storeName = storeFileName(base.offset);
    this.indexName = indexFileName(base.offset);
    this.length = state.length;
    this.end = state.end;
    this.maxTimeMs = state.maxTimeMs;
    this.index = state.index;
    this.unreadable = state.unreadable ?? false;
  }

  /** Creates a segment whose store is durable on disk and contains only the header. */
  static async create(
    directory: Directory,
    base: LogBoundary,
    intervalBytes: number,
    checksum: BatchChecksum,
  ): Promise<{ segment: Segment; file: File }> {
    const file = await createDurably(directory, storeFileName(base.offset), [encodeStoreHeader(base, checksum)]);
    return { segment: Segment.empty(base, intervalBytes), file };
  }

  static empty(base: LogBoundary, intervalBytes: number): Segment {
    const index = new SparseIndex(base.offset, base.index, intervalBytes);
    return new Segment(base, { length: firstBatchPosition, end: base, maxTimeMs: toEpochMs(0), index });
  }

  static sealed({ base, end, storeLength, maxTimeMs }: SealedSegment): Segment {
    return new Segment(base, { length: storeLength, end, maxTimeMs });
  }

  static unreadable(base: LogBoundary, end: LogBoundary): Segment {
    return new Segment(base, { length: firstBatchPosition, end, maxTimeMs: toEpochMs(0), unreadable: true });
  }

  /**
   * Returns true if the batch must start a new segment, given `length` bytes in this one; `first` is the first batch of
   * a segment that is still empty. Depends only on the limits and the batches. A segment without records never rolls,
   * since the next one would have the same name.
   */
  mustRollFor(
    batch: RecordBatch,
    length: number,
    limits: { segmentBytesMax: number; segmentAgeMsMax: number },
    first?: RecordBatch,
  ): boolean {
    if (batch.baseOffset === this.base.offset) return false;
    if (length + storedBytes(batch) > limits.segmentBytesMax) return true;
    const firstTimeMs = this.#firstTimeMs ?? first?.appendTimeMs ?? batch.appendTimeMs;
    return Math.abs(batch.appendTimeMs - firstTimeMs) >= limits.segmentAgeMsMax;
  }

  /** Returns how far the batches from `first` on go into this segment, which takes at least that one. */
  endOfFitting(
    batches: readonly RecordBatch[],
    first: number,
    limits: { segmentBytesMax: number; segmentAgeMsMax: number },
  ): number {
    let end = first;
    let length: number = this.length;
    do length += storedBytes(batches[end++]);
    while (end < batches.length && !this.mustRollFor(batches[end], length, limits, batches[first]));
    return end;
  }

  /** Records the next batch, stored at `position`; `isolated` means that bad bytes precede it. */
  extend(batch: RecordBatch | BatchHeader, position: Position, bytes: number, isolated = false): void {
    this.#firstTimeMs ??= batch.appendTimeMs;
    this.lastTimeMs = batch.appendTimeMs;
    this.index?.note(batch, position, isolated);
    if (this.index) this.maxTimeMs = this.index.maxTimeMs;
    this.length = (position + bytes) as Position;
    this.end = boundaryAfter(batch);
  }

  /** Drops the batches from `position` on; `end` and `maxTimeMs` are those of the remaining batches. */
  cut(position: Position, end: LogBoundary, maxTimeMs: EpochMs): void {
    this.index?.truncate(position, maxTimeMs);
    this.length = position;
    this.end = end;
    this.maxTimeMs = maxTimeMs;
    this.lastTimeMs = position === firstBatchPosition ? undefined : maxTimeMs;
    if (position === firstBatchPosition) this.#firstTimeMs = undefined;
  }

  /** Makes a sealed segment the active one again. */
  reopen(index: SparseIndex, firstTimeMs: EpochMs | undefined): void {
    this.index = index;
    this.#firstTimeMs = firstTimeMs;
  }

  sealedState(): SealedSegment {
    return { base: this.base, end: this.end, storeLength: this.length, maxTimeMs: this.maxTimeMs };
  }
}
