import { setImmediate } from 'node:timers/promises';
import type { ReadMemory } from '../../application/ports/read-memory.js';

/** How long the event loop goes on with one work before it does something else. */
const sliceMs = 3;

/** Does work whose steps each take little, in slices between which the event loop does other work. */
export async function inSlices<Result>(work: Generator<unknown, Result, void>): Promise<Result> {
  for (;;) {
    const until = performance.now() + sliceMs;
    do {
      const step = work.next();
      if (step.done === true) return step.value;
    } while (performance.now() < until);
    await setImmediate();
  }
}

/** Works that are in progress at once. Each has at most one slice in a turn of the event loop. */
const inProgressMax = 3;

interface Waiting {
  readonly begin: () => void;
}

/**
 * Bounds the works in progress that are long for the event loop and hold much memory. The others wait, client by client:
 * a client that asks for much waits for itself, and the one that asks for little waits for one work of each other.
 */
export class Turns {
  #inProgress = 0;
  readonly #waiting = new Map<string, Waiting[]>();

  /**
   * Does the work, which awaits `begin` before it takes up memory and time: it may have something else to wait for first.
   * Rejects with the signal's reason when that aborts before it has begun.
   */
  async run<Result>(
    client: string,
    signal: AbortSignal,
    work: (begin: () => Promise<void>) => Promise<Result>,
  ): Promise<Result> {
    let isBegun = false;
    try {
      return await work(async () => {
        await this.#begin(client, signal);
        isBegun = true;
      });
    } finally {
      if (isBegun) this.#endOne();
    }
  }

  async #begin(client: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#inProgress >= inProgressMax) await this.#wait(client, signal);
    else this.#inProgress += 1;
  }

  #wait(client: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#remove(client, waiting);
        reject(signal.reason as Error);
      };
      const waiting: Waiting = {
        begin: () => {
          signal.removeEventListener('abort', leave);
          resolve();
        },
      };
      signal.addEventListener('abort', leave, { once: true });
      const others = this.#waiting.get(client);
      if (others === undefined) this.#waiting.set(client, [waiting]);
      else others.push(waiting);
    });
  }

  #remove(client: string, waiting: Waiting): void {
    const left = this.#waiting.get(client)?.filter((other) => other !== waiting) ?? [];
    if (left.length === 0) this.#waiting.delete(client);
    else this.#waiting.set(client, left);
  }

  /** Gives the turn to the client that has waited longest since its last one. */
  #endOne(): void {
    for (const [client, waiting] of this.#waiting) {
      this.#waiting.delete(client);
      const next = waiting.shift();
      // The client's other works wait until each other client has had one.
      if (waiting.length > 0) this.#waiting.set(client, waiting);
      next?.begin();
      return;
    }
    this.#inProgress -= 1;
  }
}

/**
 * The memory of a call for a read that also waits for its turn. It does so once it has its bytes, so that no turn is lost
 * to a client that waits for memory. Where `begin` rejects the call is over, and its memory with it.
 */
export function readInTurn(begin: () => Promise<void>, memory: ReadMemory | undefined): ReadMemory {
  return {
    async reserve(bytes, signal) {
      await memory?.reserve(bytes, signal);
      await begin();
    },
    tryReserve: (bytes) => memory?.tryReserve(bytes) ?? true,
    correct: (bytes) => memory?.correct(bytes),
  };
}
