import type { LamportTime } from './message.js';

/** The maximum step of the clock by one message: a forged time must not exhaust the safe integers. */
const jumpMax = 2 ** 32;

/** A logical clock (Lamport 1978) that starts at 1, as in Serf. */
export class LamportClock {
  #time: LamportTime;

  /** `seen` is the last time seen before a restart. */
  constructor(seen: LamportTime = 0) {
    this.#time = seen + 1;
  }

  /** The time that the next message of this node carries. */
  get time(): LamportTime {
    return this.#time;
  }

  increment(): void {
    this.#time += 1;
  }

  /**
   * Moves the clock past `seen`, the time of a received message. Returns false if that time is too far in the future to
   * be accepted; the clock still moves a step toward it, so that a node that lags catches up.
   */
  witness(seen: LamportTime): boolean {
    if (seen < this.#time) return true;
    const believed = Math.min(seen, this.#time + jumpMax, Number.MAX_SAFE_INTEGER - 1);
    this.#time = believed + 1;
    return believed === seen;
  }
}
