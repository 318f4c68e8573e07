import type { MonotonicMs } from '../ports/clock.js';

/** An age is known to this fraction of the time that is asked for. */
const precision = 1 / 64;

interface Sighting {
  /** Everything up to this index was in the log. */
  readonly index: number;
  readonly at: MonotonicMs;
}

/**
 * Knows for how long entries have been in the log of this process, by the monotonic clock: a lower bound of their age,
 * whatever the append times say.
 */
export class EntryAges {
  readonly #indexAtStart: number;
  #sightings: Sighting[];
  #old = 0;

  /** @param index the last entry that the log has at the start of this process */
  constructor(index: number, now: MonotonicMs) {
    this.#indexAtStart = index;
    this.#sightings = [{ index, at: now }];
  }

  /** Notes that the log reaches up to `index`; keeps what is needed to ask about `ageMs`. */
  note(index: number, now: MonotonicMs, ageMs: number): void {
    const last = this.#sightings.at(-1);
    if (last !== undefined && (index <= last.index || now - last.at < ageMs * precision)) return;
    this.#sightings.push({ index, at: now });
  }

  /** Returns the last entry that has been in the log of this process for longer than `ageMs`. */
  surelyOld(ageMs: number, now: MonotonicMs): number {
    const count = this.#sightings.filter(({ at }) => now - at > ageMs).length;
    if (count > 0) {
      this.#old = this.#sightings[count - 1].index;
      this.#sightings = this.#sightings.slice(count);
    }
    return this.#old;
  }

  /** Returns the last entry that may be older: also what was there at the start, of which only append times can tell. */
  maybeOld(ageMs: number, now: MonotonicMs): number {
    return Math.max(this.#indexAtStart, this.surelyOld(ageMs, now));
  }
}
