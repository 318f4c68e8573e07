import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { errorCode } from './errors.js';

const retryMs = 50;

/**
 * Descriptors of this process that are kept open for the files of the log. When the process has no other left, because
 * of its connections, one after the other is given up for a file that must be opened, and taken back later. When all are
 * given up, opening a file waits: to fail would end the node. While one waits, `isExhausted` has appends refused.
 */
class DescriptorReserve {
  readonly #spare: number[] = [];
  #spareMax = 0;
  #isRefilling = false;
  #waiting = 0;
  /** Called whenever a file needs a descriptor and none is left. */
  onExhausted: () => void = () => undefined;

  /** Keeps that many; without a call, none. */
  keep(descriptors: number): void {
    this.#spareMax = descriptors;
    this.#refill();
  }

  /** Whether a file waits for a descriptor. */
  get isExhausted(): boolean {
    return this.#waiting > 0;
  }

  #refill(): void {
    try {
      while (this.#spare.length < this.#spareMax) this.#spare.push(openSync(devNull, 'r'));
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw error;
    }
  }

  /** Runs `open`, again and again while the process is out of descriptors. `open` must change nothing when it fails. */
  async use<T>(open: () => Promise<T>): Promise<T> {
    let waits = false;
    try {
      for (;;)
        try {
          return await open();
        } catch (error) {
          if (!isOutOfDescriptors(error)) throw error;
          this.onExhausted();
          const descriptor = this.#spare.pop();
          if (descriptor !== undefined) {
            closeSync(descriptor);
            this.#refillLater();
            continue;
          }
          if (!waits) this.#waiting += 1;
          waits = true;
          await wait(retryMs);
        }
    } finally {
      if (waits) this.#waiting -= 1;
    }
  }

  #refillLater(): void {
    if (this.#isRefilling) return;
    this.#isRefilling = true;
    setTimeout(() => {
      this.#isRefilling = false;
      this.#refill();
      if (this.#spare.length < this.#spareMax) this.#refillLater();
    }, retryMs).unref();
  }
}

function isOutOfDescriptors(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'EMFILE' || code === 'ENFILE';
}

export const descriptorReserve = new DescriptorReserve();
