import { setTimeout as delay } from 'node:timers/promises';
import { isDataLoss, isServerError, isTransient, UnreachableError } from './errors.js';
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

/** The longest time that a server is asked for the others, and how often the same one is asked. */
const learnMs = 2_000;
const learnAgainMs = 60_000;
/** As many members as a cluster may have, and some that it had. */
const serversMax = 128;

export interface LogServersOptions {
  /** Whether the other members of the cluster are used as well, once a server has named them (default: yes). */
  readonly learn?: boolean;
}

/** The servers of one log. One of them is current: the one that served last. */
export class LogServers {
  readonly #clients: LogClient[];
  readonly #learned: LogClient[] = [];
  /** The last time that each server was asked, by address, and the end of that. */
  readonly #asked = new Map<string, { readonly atMs: number; readonly done: Promise<void> }>();
  readonly #closed = new AbortController();
  readonly #learns: boolean;
  #current = 0;

  /** @param clients at least one; not closed here */
  constructor(clients: readonly LogClient[], { learn = true }: LogServersOptions = {}) {
    this.#clients = [...clients];
    this.#learns = learn;
  }

  get current(): LogClient {
    return this.#clients[this.#current];
  }

  get addresses(): string {
    return this.#clients.map(({ address }) => address).join(', ');
  }

  /** Whether the predicate holds for the address of each server that is known. */
  every(predicate: (address: string) => boolean): boolean {
    return this.#clients.every(({ address }) => predicate(address));
  }

  /** Closes the clients of the servers that were learned. */
  close(): void {
    this.#closed.abort();
    for (const client of this.#learned) client.close();
  }

  /**
   * Asks a server for the other members, and adds those that are not known to the end of the list. Never rejects: a
   * server need not answer that. Does not ask the same server again within a minute.
   */
  learn(client = this.current): Promise<void> {
    const atMs = performance.now();
    const last = this.#asked.get(client.address);
    if (last !== undefined && atMs - last.atMs < learnAgainMs) return last.done;
    const done = this.#ask(client);
    this.#asked.set(client.address, { atMs, done });
    return done;
  }

  async #ask(client: LogClient): Promise<void> {
    const { signal } = this.#closed;
    if (!this.#learns || signal.aborted) return;
    try {
      const servers = await client.servers(AbortSignal.any([signal, AbortSignal.timeout(learnMs)]));
      for (const { rpcAddr } of servers) if (!signal.aborted) this.#add(client, rpcAddr);
    } catch {
      // The servers that are known are still there.
    }
  }

  #add(client: LogClient, address: string): void {
    if (!this.every((known) => known !== address) || this.#clients.length >= serversMax) return;
    const learned = client.sibling(address);
    this.#learned.push(learned);
    this.#clients.push(learned);
  }

  /**
   * Runs the task at the current server. After a transient failure, and where the server has lost data, the next server
   * becomes current. With several servers, one that does not answer for five seconds counts as an `UnreachableError`.
   */
  async attempt<T>(signal: AbortSignal, task: (client: LogClient, signal: AbortSignal) => Promise<T>): Promise<T> {
    const client = this.current;
    const silence = this.#clients.length > 1 ? AbortSignal.timeout(attemptMs) : undefined;
    try {
      const result = await task(client, silence === undefined ? signal : AbortSignal.any([signal, silence]));
      void this.learn(client);
      return result;
    } catch (cause) {
      const isSilent = silence?.aborted === true && !signal.aborted;
      const error = isSilent
        ? new UnreachableError(client.address, `no answer within ${attemptMs / 1_000} s`, { cause })
        : cause;
      if (isServerError(error)) await this.learn(client);
      if (isTransient(error) || isDataLoss(error)) this.moveOn();
      throw error;
    }
  }

  /** Makes the next server the current one. */
  moveOn(): void {
    this.#current = (this.#current + 1) % this.#clients.length;
  }

  /**
   * Reads at the first server that can serve it. While servers answer that they cannot, as during an election, it retries
   * for up to `timeoutMs`, and calls `onWaiting` when it starts to.
   *
   * @throws UnreachableError when no server answers; RpcError, of DATA_LOSS when no server has what is asked for
   */
  async read(
    options: Omit<ReadOptions, 'signal'>,
    timeoutMs: number,
    signal: AbortSignal,
    onWaiting: (reason: Error) => void,
  ): Promise<ReadChunk> {
    const endMs = performance.now() + timeoutMs;
    const backoff = new Backoff();
    for (let waiting = false; ; waiting = true) {
      const failures: unknown[] = [];
      for (let tried = 0; tried < this.#clients.length; tried += 1) {
        try {
          return await this.attempt(signal, (client, until) => client.read({ ...options, signal: until }));
        } catch (error) {
          if (!isTransient(error) && !isDataLoss(error)) throw error;
          failures.push(error);
        }
      }
      const refusal = failures.find((failure) => isServerError(failure) && !isDataLoss(failure));
      const loss = failures.find(isDataLoss);
      if (refusal === undefined && loss === undefined && failures.length > 1)
        throw new UnreachableError(this.addresses, 'no server answers', { cause: failures[0] });
      if (!isServerError(refusal) || performance.now() > endMs) throw loss ?? refusal ?? failures[0];
      if (!waiting) onWaiting(refusal);
      await backoff.wait(signal);
    }
  }
}
