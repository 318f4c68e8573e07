import type { Clock } from './ports/clock.js';

interface Watch {
  readonly holds: () => boolean;
  readonly resolve: () => void;
}

/** Those who wait for a condition on a state that changes step by step. */
export class Conditions {
  #watches: Watch[] = [];

  /** Resolves when the condition holds: now, or at a later `check`. */
  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve) => this.#watches.push({ holds, resolve }));
  }

  /** As `until`, but for at most `ms`. */
  async untilOrLate(clock: Clock, ms: number, holds: () => boolean): Promise<void> {
    let late = false;
    const cancel = clock.after(ms, () => {
      late = true;
      this.check();
    });
    await this.until(() => late || holds());
    cancel();
  }

  /** To be called after every step. */
  check(): void {
    if (this.#watches.length === 0) return;
    const met = this.#watches.filter(({ holds }) => holds());
    if (met.length === 0) return;
    this.#watches = this.#watches.filter((watch) => !met.includes(watch));
    for (const { resolve } of met) resolve();
  }
}
