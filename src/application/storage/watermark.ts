import { type Offset, toOffset } from '../../domain/log/offsets.js';

interface Waiter {
  readonly offset: Offset;
  readonly resolve: () => void;
}

/** The high watermark and the callers that wait for it to move. A waiter costs an entry in a set and no time. */
export class Watermark {
  readonly #waiters = new Set<Waiter>();
  #value: Offset;

  constructor(value: Offset) {
    this.#value = value;
  }

  /** Never decreases (I7). */
  get value(): Offset {
    return this.#value;
  }

  advance(value: Offset): void {
    if (value < this.#value) throw new RangeError(`the watermark ${this.#value} must not decrease to ${value}`);
    if (value === this.#value) return;
    this.#value = toOffset(value);
    for (const waiter of this.#waiters) {
      if (waiter.offset < value) {
        this.#waiters.delete(waiter);
        waiter.resolve();
      }
    }
  }

  /** Resolves once `value > offset`; rejects with the signal's reason on abort. */
  waitPast(offset: Offset, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    if (this.#value > offset) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiters.delete(waiter);
        reject(signal.reason as Error);
      };
      const waiter: Waiter = {
        offset,
        resolve: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      this.#waiters.add(waiter);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}
