import { setTimeout as delay } from 'node:timers/promises';
import { isServersWord, isTransient, UnreachableError } from './errors.js';
import type { LogClient, ReadOptions } from './log-client.js';
import type { ReadChunk } from './received-batch.js';

/** A server that says nothing for so long is given up for the next one, where there is one. */
const attemptMs = 5_000;
const backoffMsFirst = 50;
const backoffMsMax = 1_000;

/** Waits that double from 50 ms to a second. */
export class Backoff {
  #ms = backoffMsFirst;

  /** Rejects at the signal's abort. */
  async wait(signal: AbortSignal): Promise<void> {
    await delay(this.#ms, undefined, { signal });
    this.#ms = Math.min(this.#ms * 2, backoffMsMax);
  }
}

/** The servers of one log, of which one is used at a time: the one that served last. */
export class LogServers {
  #turn = 0;

  /** @param clients at least one; not closed here */
  constructor(private readonly clients: readonly LogClient[]) {}

  get current(): LogClient {
    return this.clients[this.#turn % this.clients.length];
  }

  get addresses(): string {
    return this.clients.map(({ address }) => address).join(', ');
  }

  /**
   * Runs the task at the current server. After a failure that another try can mend, the next server is the current one.
   * Where there are several, one that is silent for five seconds is an `UnreachableError`.
   */
  async attempt<T>(signal: AbortSignal, task: (client: LogClient, signal: AbortSignal) => Promise<T>): Promise<T> {
    const client = this.current;
    const silence = this.clients.length > 1 ? AbortSignal.timeout(attemptMs) : undefined;
    try {
      return await task(client, silence === undefined ? signal : AbortSignal.any([signal, silence]));
    } catch (cause) {
      const isSilent = silence?.aborted === true && !signal.aborted;
      const error = isSilent
        ? new UnreachableError(client.address, `no answer within ${attemptMs / 1_000} s`, { cause })
        : cause;
      if (isTransient(error)) this.moveOn();
      throw error;
    }
  }

  /** The next server is the current one. */
  moveOn(): void {
    this.#turn += 1;
  }

  /**
   * A linearizable read at the first server that can do it. Waits for up to `timeoutMs` while servers answer that they
   * cannot serve now, as in an election, and calls `onWaiting` when it begins to.
   *
   * @throws UnreachableError when nobody answers, RpcError
   */
  async read(
    options: Omit<ReadOptions, 'linearizable' | 'signal'>,
    timeoutMs: number,
    signal: AbortSignal,
    onWaiting: (reason: Error) => void,
  ): Promise<ReadChunk> {
    const endMs = performance.now() + timeoutMs;
    const backoff = new Backoff();
    for (let said = false; ; said = true) {
      const refusals: unknown[] = [];
      for (let tried = 0; tried < this.clients.length; tried += 1) {
        try {
          return await this.attempt(signal, (client, until) =>
            client.read({ ...options, linearizable: true, signal: until }),
          );
        } catch (error) {
          if (!isTransient(error)) throw error;
          refusals.push(error);
        }
      }
      const word = refusals.find(isServersWord);
      if (word === undefined && refusals.length > 1)
        throw new UnreachableError(this.addresses, 'none of them answers', { cause: refusals[0] });
      if (word === undefined || performance.now() > endMs) throw word ?? refusals[0];
      if (!said) onWaiting(word);
      await backoff.wait(signal);
    }
  }
}
