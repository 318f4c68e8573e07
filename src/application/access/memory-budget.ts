import type { Caller } from './access.js';
import { CallMemory, type ClientShare } from './call-memory.js';
import { clientOf } from './call-quota.js';
import { OverloadedError } from '../errors.js';
import type { Clock } from '../ports/clock.js';

export interface MemoryBudgetOptions {
  /** Bytes in all. */
  readonly bytesMax: number;
  /** Bytes of one client; `clientOf` says who that is. */
  readonly bytesPerClientMax: number;
  /** The part of all bytes that is reserved for clients that hold no more than `modestBytes`. */
  readonly modestShareBytes: number;
  readonly modestBytes: number;
  /** The part of all bytes, and of those of each client, that reads leave free: it is reserved for requests. */
  readonly requestShareBytes: number;
  /** The part of all bytes that no client gets: it is reserved for what the other nodes send and are sent. */
  readonly peerShareBytes: number;
  /** Bytes of one peer; all peers together may hold `bytesMax`. A call that brings it above is ended. */
  readonly bytesPerPeerMax: number;
  /** While calls wait, calls whose readers accept nothing for about this long are ended. */
  readonly patienceMs: number;
}

const mebibyte = 1024 * 1024;

export const defaultMemoryBudget: MemoryBudgetOptions = {
  bytesMax: 256 * mebibyte,
  bytesPerClientMax: 64 * mebibyte,
  modestShareBytes: 32 * mebibyte,
  modestBytes: 4 * mebibyte,
  requestShareBytes: 16 * mebibyte,
  peerShareBytes: 32 * mebibyte,
  bytesPerPeerMax: 128 * mebibyte,
  patienceMs: 5_000,
};

/** So often readers are looked at within the patience. */
const looksInPatience = 5;

/** Calls that begin to read in one turn of the event loop: each takes it a millisecond or two. */
const grantsInTurnMax = 8;

interface Waiter {
  readonly bytes: number;
  readonly begin: () => void;
}

interface Client {
  readonly name: string;
  readonly isPeer: boolean;
  bytes: number;
  readonly calls: Set<CallMemory>;
  readonly waiting: Set<Waiter>;
  /** The most bytes for which one of its requests was refused since readers were last looked at; 0: none was. */
  refusedBytes: number;
  readonly share: ClientShare;
}

/**
 * One budget in bytes for what the calls of all transports hold: requests until they are answered, also those that have
 * come in part, what was read for them, and messages that their readers have not taken. A call asks before it reads,
 * and waits while its client, or all clients together, hold too much; those that wait are served client by client in
 * turn. A request that is too much is refused. While calls wait or are refused, those whose client takes nothing, or
 * sends nothing of the rest of its request, are ended.
 */
export class MemoryBudget {
  readonly #clients = new Map<string, Client>();
  /** The bytes that all clients hold. */
  #bytes = 0;
  readonly #peers = new Map<string, Client>();
  /** The bytes that all peers hold. */
  #peerBytes = 0;
  /** The clients with calls that wait; the one that was served last is the last. */
  readonly #waiting = new Set<Client>();
  #isGranting = false;
  /** Readers are looked at only while calls wait. */
  readonly #looks = { count: 0 };
  #isLooking = false;

  constructor(
    private readonly options: MemoryBudgetOptions,
    private readonly clock: Clock,
    /** Told how many calls were ended at once. */
    private readonly onEnded: (calls: number) => void = () => undefined,
  ) {}

  /** Bytes held in all. */
  get bytes(): number {
    return this.#bytes + this.#peerBytes;
  }

  /** The memory of a call until its `close`. `end` is called when its reader is given up, and should lead to `close`. */
  begin(caller: Caller, address: string | undefined, end: () => void): CallMemory {
    return this.#enter(this.#clients, clientOf(caller, address), end);
  }

  /**
   * The memory of a call of another node, which never waits, and is ended only when the node holds too much. Without
   * certificates a caller is known by its address.
   */
  beginPeer(caller: Caller, address: string | undefined, end: () => void): CallMemory {
    return this.#enter(this.#peers, clientOf(caller, address), end);
  }

  #enter(clients: Map<string, Client>, name: string, end: () => void): CallMemory {
    const client = clients.get(name) ?? this.#clientOf(name, clients === this.#peers);
    clients.set(name, client);
    const call = new CallMemory(client.share, end);
    client.calls.add(call);
    return call;
  }

  #clientOf(name: string, isPeer: boolean): Client {
    const client: Client = {
      ...{ name, isPeer, bytes: 0, calls: new Set(), waiting: new Set(), refusedBytes: 0 },
      share: {
        change: (bytes) => {
          this.#change(client, bytes);
          return bytes <= 0 || !isPeer || this.#hasSpace(client, 0);
        },
        hold: (bytes) => this.#hold(client, bytes),
        tryReserve: (bytes) => this.#tryReserve(client, bytes),
        reserve: (bytes, signal) => (this.#tryReserve(client, bytes) ? undefined : this.#wait(client, bytes, signal)),
        isShort: () => client.waiting.size > 0 || !this.#hasSpace(client, 0),
        looks: this.#looks,
        leave: (call) => {
          client.calls.delete(call);
          this.#forget(client);
        },
      },
    };
    return client;
  }

  #forget({ name, isPeer, calls, waiting }: Client): void {
    if (calls.size === 0 && waiting.size === 0) (isPeer ? this.#peers : this.#clients).delete(name);
  }

  #change(client: Client, bytes: number): void {
    client.bytes += bytes;
    if (client.isPeer) this.#peerBytes += bytes;
    else this.#bytes += bytes;
    if (bytes < 0) this.#grantSoon();
  }

  /** A client that is alone gets what it needs, even if that is more than there is: else it would wait for ever. */
  #hasSpace(client: Client, bytes: number, isRequest = false): boolean {
    const { bytesMax, bytesPerPeerMax } = this.options;
    if (client.isPeer) return client.bytes + bytes <= bytesPerPeerMax && this.#peerBytes + bytes <= bytesMax;
    if (this.#bytes === 0) return true;
    const forRequests = isRequest ? 0 : this.options.requestShareBytes;
    if (client.bytes > 0 && client.bytes + bytes + forRequests > this.options.bytesPerClientMax) return false;
    return this.#bytes + bytes + forRequests <= this.#bytesMaxOf(client.bytes + bytes);
  }

  /** The bytes of all clients up to which one of them may hold so many. */
  #bytesMaxOf(held: number): number {
    const { bytesMax, modestShareBytes, modestBytes, peerShareBytes } = this.options;
    return bytesMax - (held > modestBytes ? modestShareBytes : 0) - Math.max(peerShareBytes, this.#peerBytes);
  }

  /** Counts bytes of a request, which have come already; answers why the request should be refused. */
  #hold(client: Client, bytes: number): OverloadedError | undefined {
    const fits = bytes <= 0 || this.#hasSpace(client, bytes, true);
    this.#change(client, bytes);
    if (fits) return undefined;
    const { bytesMax, bytesPerClientMax, bytesPerPeerMax } = this.options;
    const own = client.isPeer ? bytesPerPeerMax : bytesPerClientMax;
    if (!client.isPeer) {
      client.refusedBytes = Math.max(client.refusedBytes, bytes);
      this.#look();
    }
    return client.bytes > own
      ? new OverloadedError('bytes that the calls of one client hold', own)
      : new OverloadedError('bytes that all calls hold', bytesMax);
  }

  #tryReserve(client: Client, bytes: number): boolean {
    if (client.waiting.size > 0 || !this.#hasSpace(client, bytes)) return false;
    this.#change(client, bytes);
    return true;
  }

  #wait(client: Client, bytes: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        signal.removeEventListener('abort', onAbort);
        client.waiting.delete(waiter);
        if (client.waiting.size === 0) this.#waiting.delete(client);
        this.#forget(client);
      };
      const onAbort = (): void => {
        leave();
        reject(signal.reason as Error);
        // Another of the client may need less.
        this.#grantSoon();
      };
      const begin = (): void => {
        this.#change(client, bytes);
        leave();
        resolve();
      };
      const waiter = { bytes, begin };
      client.waiting.add(waiter);
      this.#waiting.add(client);
      signal.addEventListener('abort', onAbort);
      if (signal.aborted) onAbort();
      else this.#look();
    });
  }

  /** Once: what has come by then may be that the calls that wait have ended. */
  #grantSoon(): void {
    if (this.#isGranting || this.#waiting.size === 0) return;
    this.#isGranting = true;
    this.clock.soon(() => {
      this.#isGranting = false;
      this.#grant();
    });
  }

  /** Lets some calls begin that wait, one of each client in turn, as far as there is space; more of them soon. */
  #grant(): void {
    let left = grantsInTurnMax;
    for (let granted = true; granted;) {
      granted = false;
      for (const client of [...this.#waiting]) {
        const [waiter] = client.waiting;
        if (waiter === undefined || !this.#hasSpace(client, waiter.bytes)) continue;
        if (left === 0) {
          this.#grantSoon();
          return;
        }
        waiter.begin();
        left -= 1;
        granted = true;
        // After the others.
        if (this.#waiting.delete(client)) this.#waiting.add(client);
      }
    }
  }

  #look(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.clock.after(this.options.patienceMs / looksInPatience, () => {
      this.#isLooking = false;
      this.#looks.count += 1;
      const clients = [...this.#clients.values()];
      const short = clients.filter(({ waiting, refusedBytes }) => waiting.size > 0 || refusedBytes > 0);
      if (short.length === 0) return;
      this.#endStalled(clients, short);
      for (const client of short) client.refusedBytes = 0;
      this.#look();
    });
  }

  /** Ends stalled calls: of each client that is short of memory, and of all that hold much if others are for them. */
  #endStalled(clients: readonly Client[], short: readonly Client[]): void {
    const { bytesPerClientMax, requestShareBytes, modestBytes } = this.options;
    const othersLack = short.some(
      ({ waiting: [waiter], refusedBytes, bytes }) =>
        bytes + refusedBytes <= bytesPerClientMax &&
        (waiter === undefined || bytes + waiter.bytes + requestShareBytes <= bytesPerClientMax),
    );
    const stalled = clients
      .filter((client) => short.includes(client) || (othersLack && client.bytes > modestBytes))
      .flatMap(({ calls }) => [...calls].filter((call) => call.isStalledSince(this.#looks.count - looksInPatience)));
    for (const call of stalled) call.end();
    if (stalled.length > 0) this.onEnded(stalled.length);
  }
}
