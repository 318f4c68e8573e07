import type { LamportTime } from './message.js';

/** How far one message may move the clock: a forged time must not use up the exact integers. */
const jumpMax = 2 ** 32;

/** A logical clock (Lamport 1978), as Serf counts: from 1. */
export class LamportClock {
  #time: LamportTime;

  /** `seen`: the last time that was seen in a life before. */
  constructor(seen: LamportTime = 0) {
    this.#time = seen + 1;
  }

  /** What the next message of this node carries. */
  get time(): LamportTime {
    return this.#time;
  }

  increment(): void {
    this.#time += 1;
  }

  /**
   * A message with `seen` was seen: this clock is later than it. False: it is from too far in the future to be believed.
   * The clock moves a step towards it all the same, so that who fell behind catches up.
   */
  witness(seen: LamportTime): boolean {
    if (seen < this.#time) return true;
    const believed = Math.min(seen, this.#time + jumpMax, Number.MAX_SAFE_INTEGER - 1);
    this.#time = believed + 1;
    return believed === seen;
  }
}
