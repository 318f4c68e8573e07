import { type Client, connectivityState } from '@grpc/grpc-js';
import { isServerError, OutcomeUnknownError, RpcError, UnreachableError } from './errors.js';

const connectMs = 3_000;
/** As many members as a cluster may have, and some that it had. */
const serversMax = 128;
/** How many leader hints one call follows. */
const hintsMax = 3;

/** A read may be repeated at any server; a change only if it cannot have been made yet. */
export type CallKind = 'read' | 'change';

/**
 * Several servers of one cluster. A call goes to the server that answered last, then to the next one if it does not
 * answer, or to the leader if the server names it.
 */
export class ServersInTurn {
  readonly #clients = new Map<string, Client>();
  #addresses: readonly string[];

  /** @param addresses at least one HOST:PORT; connects on the first call */
  constructor(
    addresses: readonly string[],
    private readonly connect: (address: string) => Client,
  ) {
    this.#addresses = addresses;
  }

  /** Adds servers of the same cluster, to be tried after those that are known. */
  learn(addresses: readonly string[]): void {
    this.#addresses = [...new Set([...this.#addresses, ...addresses])].slice(0, serversMax);
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
  }

  /**
   * Resolves with the result of the first attempt that succeeds. Rejects with the last refusal of a server, with
   * `UnreachableError` when none answers, and with `OutcomeUnknownError` when a change may have been made.
   */
  async call<T>(
    kind: CallKind,
    signal: AbortSignal | undefined,
    attempt: (client: Client, address: string) => Promise<T>,
  ): Promise<T> {
    const pending = [...this.#addresses];
    const tried = new Set<string>();
    let hints = 0;
    let refusal: unknown;
    for (let address = pending.shift(); address !== undefined; address = pending.shift()) {
      if (tried.has(address)) continue;
      tried.add(address);
      try {
        const client = this.#client(address);
        signal?.throwIfAborted();
        await connected(client, address, signal);
        const result = await attempt(client, address);
        this.#prefer(address);
        return result;
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof UnreachableError)) {
          if (!mayTryNext(error, kind)) throw error;
          const leader = error.details.get('leader');
          if (leader !== undefined && hints++ < hintsMax) pending.unshift(leader);
        }
        if (!(refusal instanceof RpcError) || error instanceof RpcError) refusal = error;
      }
    }
    if (refusal instanceof UnreachableError && tried.size > 1)
      throw new UnreachableError([...tried].join(', '), 'no server answers', { cause: refusal });
    throw refusal;
  }

  #client(address: string): Client {
    const client = this.#clients.get(address) ?? this.connect(address);
    this.#clients.set(address, client);
    return client;
  }

  #prefer(address: string): void {
    this.#addresses = [address, ...this.#addresses.filter((other) => other !== address)];
  }
}

/** Resolves once the connection is open or has failed; a call then fails at once, with the reason. */
async function connected(client: Client, address: string, signal: AbortSignal | undefined): Promise<void> {
  const channel = client.getChannel();
  const deadline = Date.now() + connectMs;
  for (;;) {
    const state = channel.getConnectivityState(true);
    if (state !== connectivityState.IDLE && state !== connectivityState.CONNECTING) return;
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      channel.watchConnectivityState(state, deadline, (error) => {
        signal?.removeEventListener('abort', onAbort);
        if (error === undefined) resolve();
        else reject(new UnreachableError(address, `no connection within ${connectMs / 1_000} s`));
      });
    });
  }
}

/** Whether another server may be tried. @throws OutcomeUnknownError for a change that must not be repeated */
function mayTryNext(error: unknown, kind: CallKind): error is RpcError {
  if (!(error instanceof RpcError)) return false;
  if (error.code === 'UNAVAILABLE' && isServerError(error)) return true;
  if (error.code !== 'UNAVAILABLE' && error.code !== 'DEADLINE_EXCEEDED') return false;
  if (kind === 'read') return true;
  throw new OutcomeUnknownError(`no answer (${error.message}): the change may or may not have been made`, {
    cause: error,
  });
}
