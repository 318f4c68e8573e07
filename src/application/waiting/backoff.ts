/** The waits between attempts: each is twice as long as the one before, within bounds. */
export class Backoff {
  #nextMs: number;

  constructor(
    private readonly minMs: number,
    private readonly maxMs: number,
    /** A random integer of [0, n): spreads the waits of several nodes over the upper half. Without it they are exact. */
    private readonly random?: (n: number) => number,
  ) {
    this.#nextMs = minMs;
  }

  /** Returns how long to wait before the next attempt, in milliseconds. */
  next(): number {
    const ms = this.#nextMs;
    this.#nextMs = Math.min(2 * ms, this.maxMs);
    return this.random === undefined ? ms : ms / 2 + this.random(ms / 2);
  }

  /** An attempt succeeded: the next wait is the shortest. */
  reset(): void {
    this.#nextMs = this.minMs;
  }
}
