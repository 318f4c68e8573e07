import { setTimeout as delay } from 'node:timers/promises';
import { isServerError, isTransient, UnreachableError } from './errors.js';
import type { LogClient, ReadOptions } from './log-client.js';
import type { ReadChunk } from './received-batch.js';

/** A server that does not answer for this long is given up for the next one, if there are several. */
const attemptMs = 5_000;
const backoffMsFirst = 50;
const backoffMsMax = 1_000;

/** Waits for a time that doubles from 50 ms to a second. */
export class Backoff {
  #ms = backoffMsFirst;

  /** Rejects when the signal aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    await delay(this.#ms, undefined, { signal });
    this.#ms = Math.min(this.#ms * 2, backoffMsMax);
  }
}

/** The servers of one log. One of them is current: the one that served last. */
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
   * Runs the task at the current server. After a transient failure the next server becomes current. With several servers,
   * one that does not answer for five seconds counts as an `UnreachableError`.
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

  /** Makes the next server the current one. */
  moveOn(): void {
    this.#turn += 1;
  }

  /**
   * Does a linearizable read at the first server that can serve it. While servers answer that they cannot, as during an
   * election, it retries for up to `timeoutMs`, and calls `onWaiting` when it starts to.
   *
   * @throws UnreachableError when no server answers, RpcError
   */
  async read(
    options: Omit<ReadOptions, 'linearizable' | 'signal'>,
    timeoutMs: number,
    signal: AbortSignal,
    onWaiting: (reason: Error) => void,
  ): Promise<ReadChunk> {
    const endMs = performance.now() + timeoutMs;
    const backoff = new Backoff();
    for (let waiting = false; ; waiting = true) {
      const failures: unknown[] = [];
      for (let tried = 0; tried < this.clients.length; tried += 1) {
        try {
          return await this.attempt(signal, (client, until) =>
            client.read({ ...options, linearizable: true, signal: until }),
          );
        } catch (error) {
          if (!isTransient(error)) throw error;
          failures.push(error);
        }
      }
      const refusal = failures.find(isServerError);
      if (refusal === undefined && failures.length > 1)
        throw new UnreachableError(this.addresses, 'no server answers', { cause: failures[0] });
      if (refusal === undefined || performance.now() > endMs) throw refusal ?? failures[0];
      if (!waiting) onWaiting(refusal);
      await backoff.wait(signal);
    }
  }
}
