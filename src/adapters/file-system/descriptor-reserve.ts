import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { errorCode } from './errors.js';

const retryMs = 50;

/**
 * Descriptors of this process that are kept open for the files of the log. When the process has no other left, because
 * of its connections, one after the other is given up for a file that must be opened, and taken back later. When all are
 * given up, opening a file waits: to fail would end the node.
 */
class DescriptorReserve {
  readonly #spare: number[] = [];
  #spareMax = 0;
  #isRefilling = false;
  /** Called whenever a file needs a descriptor and none is left. */
  onExhausted: () => void = () => undefined;

  /** Keeps that many; without a call, none. */
  keep(descriptors: number): void {
    this.#spareMax = descriptors;
    this.#refill();
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
    for (;;)
      try {
        return await open();
      } catch (error) {
        if (!isOutOfDescriptors(error)) throw error;
        this.onExhausted();
        const descriptor = this.#spare.pop();
        if (descriptor === undefined) await wait(retryMs);
        else {
          closeSync(descriptor);
          this.#refillLater();
        }
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
