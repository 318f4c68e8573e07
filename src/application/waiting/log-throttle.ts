import type { Clock } from '../ports/clock.js';

const everyMs = 60_000;

/** Keeps a repeated failure from filling the log: it is due at once, then once a minute. */
export class LogThrottle {
  #loggedAt = -Infinity;

  constructor(private readonly clock: Pick<Clock, 'now'>) {}

  /** Whether to log now; a yes counts as logged. */
  isDue(): boolean {
    const now = this.clock.now();
    if (now - this.#loggedAt < everyMs) return false;
    this.#loggedAt = now;
    return true;
  }

  /** An attempt succeeded: the next failure is logged at once. */
  reset(): void {
    this.#loggedAt = -Infinity;
  }
}
