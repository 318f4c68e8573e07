import type { LamportTime } from './message.js';

/** Beyond it a time is forged: no cluster counts so far, and counting on from it never leaves the exact integers. */
export const lamportTimeMax = 2 ** 52;

/** A logical clock (Lamport 1978), as Serf counts: from 1. */
export class LamportClock {
  #time: LamportTime = 1;

  /** What the next message of this node carries. */
  get time(): LamportTime {
    return this.#time;
  }

  increment(): void {
    this.#time += 1;
  }

  /** A message with `seen` was seen: this clock is later than it. */
  witness(seen: LamportTime): void {
    if (seen >= this.#time && seen <= lamportTimeMax) this.#time = seen + 1;
  }
}
