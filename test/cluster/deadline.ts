import { setTimeout as delay } from 'node:timers/promises';

/** Nothing here takes this long but on a machine that is far too busy. */
export const generousMs = 30_000;

/** Asks again and again until there is an answer; rejects, naming what was awaited, when time is up. */
export async function eventually<T>(
  what: string | (() => string),
  found: () => Promise<T | undefined> | T | undefined,
  timeoutMs = generousMs,
): Promise<T> {
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    const result = await found();
    if (result !== undefined) return result;
    if (performance.now() > endMs)
      throw new Error(`waited ${timeoutMs} ms in vain for ${typeof what === 'string' ? what : what()}`);
    await delay(20);
  }
}

const tickMs = 10;

/** Milliseconds that this process lived through: while it stands still, or waits for a processor, it does not age. */
export class OwnTime {
  ms = 0;
  readonly #timer = setInterval(() => (this.ms += tickMs), tickMs).unref();

  stop(): number {
    clearInterval(this.#timer);
    return this.ms;
  }
}

/** A line about a run for whoever reads the output of the tests. */
export function tell(text: string): void {
  process.stderr.write(`    ${text}\n`);
}
