import type { MonotonicMs } from '../ports/clock.js';

/** An age is known to this fraction of the time that is asked for. */
const precision = 1 / 64;

interface Sighting {
  /** Everything up to this index was in the log. */
  readonly index: number;
  readonly at: MonotonicMs;
}

/**
 * Knows for how long entries have been in the log of this process, by the monotonic clock. What was there before counts
 * as old: only its append times can say.
 */
export class EntryAges {
  #sightings: Sighting[] = [];

  /** @param old the last index whose age is not known */
  constructor(private old: number) {}

  /** Everything up to `index` counts as old. */
  startOver(index: number): void {
    this.old = index;
    this.#sightings = [];
  }

  /** Notes that the log reaches up to `index`; keeps what is needed to ask about `ageMs`. */
  note(index: number, now: MonotonicMs, ageMs: number): void {
    const last = this.#sightings.at(-1);
    if (index <= (last?.index ?? this.old) || (last !== undefined && now - last.at < ageMs * precision)) return;
    this.#sightings.push({ index, at: now });
  }

  /** Returns the last index that has been in the log for longer than `ageMs`. */
  olderThan(ageMs: number, now: MonotonicMs): number {
    const count = this.#sightings.filter(({ at }) => now - at > ageMs).length;
    if (count > 0) {
      this.old = this.#sightings[count - 1].index;
      this.#sightings = this.#sightings.slice(count);
    }
    return this.old;
  }
}
