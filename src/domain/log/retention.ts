import type { EpochMs, Index, Offset } from './offsets.js';

/** Bounds on the size and age of a log. Without bounds, nothing is removed. */
export interface Retention {
  /** The oldest segments are removed while the log has more bytes than this. */
  readonly bytesMax?: number;
  /** Segments whose newest record is older than this are removed. */
  readonly ageMsMax?: number;
}

export interface RetentionPolicy extends Retention {
  /** The time by which ages are told; undefined: nothing is removed by age. */
  readonly now?: EpochMs;
  /** Keeps entries at or after this index whatever their age seems to be (default: `upTo`). */
  readonly maybeOldUpTo?: Index;
  /** Entries before this index are too old even if their append times are ahead of the clock (default: none). */
  readonly surelyOldUpTo?: Index;
  /** Segments that hold only records before this offset are removed, whatever their size and age. */
  readonly startOffset?: Offset;
  /**
   * Keeps every entry at or after this index, because it may not be committed. An index, since some entries have no
   * offset.
   */
  readonly upTo: Index;
}

/** What tells the age of a segment. */
export interface DatedSegment {
  /** The highest append time of its records; 0 without records. */
  readonly maxTimeMs: EpochMs;
  /** Nothing is known of its records. */
  readonly unreadable: boolean;
}

/**
 * Returns the time of the newest record of each segment, as far as the clock can tell. Append times ahead of the clock
 * are wrong: their records are no newer than those of the next segment whose times are right. So one wrong time holds
 * neither later segments nor its own one for good. Undefined where no such segment follows: the records may be of now.
 */
export function newestTimes(segments: readonly DatedSegment[], now: EpochMs): (EpochMs | undefined)[] {
  const times: (EpochMs | undefined)[] = [];
  let next: EpochMs | undefined;
  for (let i = segments.length - 1; i >= 0; i--) {
    const { maxTimeMs, unreadable } = segments[i];
    if (!unreadable && maxTimeMs > 0 && maxTimeMs <= now) next = maxTimeMs;
    times[i] = next;
  }
  return times;
}
