import type { EpochMs, Index, Offset } from './offsets.js';

/** Bounds on the size and age of a log. Without bounds, nothing is removed. */
export interface Retention {
  /** The oldest segments are removed while the log has more bytes than this. */
  readonly bytesMax?: number;
  /** Segments whose newest record is older than this are removed. */
  readonly ageMsMax?: number;
}

export interface RetentionPolicy extends Retention {
  readonly now: EpochMs;
  /** Segments that hold only records before this offset are removed, whatever their size and age. */
  readonly startOffset?: Offset;
  /**
   * Keeps every entry at or after this index, because it may not be committed. An index, since some entries have no
   * offset.
   */
  readonly upTo: Index;
}
