import { type EpochMs, toEpochMs } from '../../domain/log/offsets.js';
import type { MonotonicMs } from '../ports/clock.js';

/** A log whose last time is further ahead of the clock than this was written by a clock that was wrong. */
export const believedAheadMs = 24 * 60 * 60 * 1000;
/** How far the append time may gain on the monotonic clock between two appends. */
const gainMsMax = 1_000;

/**
 * Gives the append times of a leader. They do not go back, and between two appends they advance by no more than the
 * monotonic time that passed and a second, at most twice as fast as it: a jump of the clock is followed slowly.
 *
 * A new leader goes on from the last time of the log. A last time that is more than a day ahead of the clock is not
 * believed: times go on from the clock, since they would otherwise stand still until then. If it was the clock that was
 * wrong, they return to where they would have been.
 */
export class AppendTimes {
  #last: EpochMs;
  /** When this node gave `last`; undefined: it has not. */
  #givenAt: MonotonicMs | undefined;
  /** The greatest difference of a time that this node gave and the monotonic clock. */
  #aheadMsMax = -Infinity;

  /** @param last the time of the last entry of the log */
  constructor(last: EpochMs) {
    this.#last = last;
  }

  /** The time of the last entry of the log. */
  get last(): EpochMs {
    return this.#last;
  }

  /** Notes the time of an entry of another leader. */
  follow(last: EpochMs): void {
    this.#last = last;
    this.#givenAt = undefined;
    this.#aheadMsMax = -Infinity;
  }

  /** Whether the last time of the log is too far ahead of the clock to go on from there. */
  isImplausible(clockMs: EpochMs): boolean {
    return this.#last > clockMs + believedAheadMs;
  }

  /** Returns the time for what is appended now. */
  next(clockMs: EpochMs, now: MonotonicMs): EpochMs {
    const time = this.isImplausible(clockMs) ? clockMs : Math.max(this.#last, Math.min(clockMs, this.#latest(now)));
    this.#last = toEpochMs(time);
    this.#givenAt = now;
    this.#aheadMsMax = Math.max(this.#aheadMsMax, time - now);
    return this.#last;
  }

  #latest(now: MonotonicMs): number {
    if (this.#givenAt === undefined) return Infinity;
    const passedMs = now - this.#givenAt;
    return Math.max(this.#last + passedMs + Math.min(passedMs, gainMsMax), this.#aheadMsMax + now);
  }
}
