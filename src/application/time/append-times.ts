import { type EpochMs, toEpochMs } from '../../domain/log/offsets.js';
import type { MonotonicMs } from '../ports/clock.js';

/** A log whose last time is further ahead of the clock than this was written by a clock that was wrong. */
export const believedAheadMs = 24 * 60 * 60 * 1000;
/** How far the append time may gain on the monotonic clock between two appends. */
const gainMsMax = 1_000;

/**
 * Gives the append times of a leader. They never go back, and between two appends they advance by no more than the
 * monotonic time that passed and a second, at most twice as fast as it: a jump of the clock is followed slowly.
 *
 * A new leader goes on from the last time of the log, unless that is more than a day ahead of the clock: then it goes on
 * from the clock, since times would otherwise stand still until then.
 */
export class AppendTimes {
  #last: EpochMs;
  /** When this node gave `last`; undefined: it has not, or another leader has given later times. */
  #givenAt: MonotonicMs | undefined;

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
  }

  /** Whether the last time of the log is too far ahead of the clock to go on from there. */
  isImplausible(clockMs: EpochMs): boolean {
    return this.#givenAt === undefined && this.#last > clockMs + believedAheadMs;
  }

  /** Returns the time for what is appended now. */
  next(clockMs: EpochMs, now: MonotonicMs): EpochMs {
    const time = this.isImplausible(clockMs) ? clockMs : Math.max(this.#last, Math.min(clockMs, this.#latest(now)));
    this.#last = toEpochMs(time);
    this.#givenAt = now;
    return this.#last;
  }

  #latest(now: MonotonicMs): number {
    if (this.#givenAt === undefined) return Infinity;
    const passedMs = now - this.#givenAt;
    return this.#last + passedMs + Math.min(passedMs, gainMsMax);
  }
}
