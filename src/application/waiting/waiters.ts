import type { Clock } from '../ports/clock.js';

interface Waiter {
  readonly holds: () => boolean;
  readonly resolve: () => void;
}

/** The callers that wait for a condition on a state that changes step by step. */
export class Waiters {
  #waiting: Waiter[] = [];

  /** Resolves when the condition holds: now, or at a later `notify`. */
  waitUntil(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ holds, resolve }));
  }

  /** Resolves when the condition holds, or after `ms`. */
  async waitUntilOrTimeout(clock: Clock, ms: number, holds: () => boolean): Promise<void> {
    let timedOut = false;
    const cancel = clock.after(ms, () => {
      timedOut = true;
      this.notify();
    });
    await this.waitUntil(() => timedOut || holds());
    cancel();
  }

  /** Checks each condition; called after every step. */
  notify(): void {
    if (this.#waiting.length === 0) return;
    const met = this.#waiting.filter(({ holds }) => holds());
    if (met.length === 0) return;
    this.#waiting = this.#waiting.filter((each) => !met.includes(each));
    for (const { resolve } of met) resolve();
  }
}
