import type { EpochMs } from './offsets.js';

/** Bounds on the size and age of a log. Without bounds, nothing is removed. */
export interface Retention {
  /** The oldest segments are removed while the log has more bytes than this. */
  readonly bytesMax?: number;
  /** Segments whose newest record is older than this are removed. */
  readonly ageMsMax?: number;
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
 * are wrong: their records are no newer than those of the next segment whose times are right, and no newer than now. So
 * one wrong time holds neither later segments nor its own one for good.
 */
export function newestTimes(segments: readonly DatedSegment[], now: EpochMs): EpochMs[] {
  const times: EpochMs[] = [];
  let next = now;
  for (let i = segments.length - 1; i >= 0; i--) {
    const { maxTimeMs, unreadable } = segments[i];
    if (!unreadable && maxTimeMs > 0 && maxTimeMs <= now) next = maxTimeMs;
    times[i] = next;
  }
  return times;
}
