import type { Caller } from './access.js';
import { CallMemory, type ClientShare } from './call-memory.js';
import { clientOf } from './call-quota.js';
import type { Clock } from '../ports/clock.js';

export interface MemoryBudgetOptions {
  /** Bytes in all. */
  readonly bytesMax: number;
  /** Bytes of one client; `clientOf` says who that is. */
  readonly bytesPerClientMax: number;
  /** The part of all bytes that is reserved for clients that hold no more than `modestBytes`. */
  readonly modestShareBytes: number;
  readonly modestBytes: number;
  /** The part of all bytes that no client gets: it is reserved for what the other nodes are sent. */
  readonly peerShareBytes: number;
  /** While calls wait, calls whose readers accept nothing for about this long are ended. */
  readonly patienceMs: number;
}

const mebibyte = 1024 * 1024;

export const defaultMemoryBudget: MemoryBudgetOptions = {
  bytesMax: 256 * mebibyte,
  bytesPerClientMax: 64 * mebibyte,
  modestShareBytes: 32 * mebibyte,
  modestBytes: 4 * mebibyte,
  peerShareBytes: 32 * mebibyte,
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
  readonly share: ClientShare;
}

/**
 * One budget in bytes for what the calls of all transports hold: what was read for them, and messages that their
 * readers have not taken. A call asks before it reads, and waits while its client, or all clients together, hold too
 * much; those that wait are served client by client in turn. While calls wait, readers that take nothing are ended.
 */
export class MemoryBudget {
  readonly #clients = new Map<string, Client>();
  /** The bytes that all clients hold. */
  #bytes = 0;
  /** The clients with calls that wait; the one that was served last is the last. */
  readonly #waiting = new Set<Client>();
  #isGranting = false;
  /** Readers are looked at only while calls wait. */
  readonly #looks = { count: 0 };
  #isLooking = false;
  readonly #peers = this.#clientOf('the other nodes', true);

  constructor(
    private readonly options: MemoryBudgetOptions,
    private readonly clock: Clock,
    /** Told how many readers were ended at once. */
    private readonly onEnded: (readers: number) => void = () => undefined,
  ) {}

  /** Bytes held in all. */
  get bytes(): number {
    return this.#bytes + this.#peers.bytes;
  }

  /** The memory of a call until its `close`. `end` is called when its reader is given up, and should lead to `close`. */
  begin(caller: Caller, address: string | undefined, end: () => void): CallMemory {
    const name = clientOf(caller, address);
    const client = this.#clients.get(name) ?? this.#clientOf(name, false);
    this.#clients.set(name, client);
    return this.#enter(client, end);
  }

  /** The memory of a call of another node, which is counted, never waits and is never ended. */
  beginPeer(): CallMemory {
    return this.#enter(this.#peers, () => undefined);
  }

  #enter(client: Client, end: () => void): CallMemory {
    const call = new CallMemory(client.share, end);
    client.calls.add(call);
    return call;
  }

  #clientOf(name: string, isPeer: boolean): Client {
    const client: Client = {
      ...{ name, isPeer, bytes: 0, calls: new Set(), waiting: new Set() },
      share: {
        change: (bytes) => {
          this.#change(client, bytes);
        },
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

  #forget({ name, calls, waiting }: Client): void {
    if (calls.size === 0 && waiting.size === 0) this.#clients.delete(name);
  }

  #change(client: Client, bytes: number): void {
    client.bytes += bytes;
    if (!client.isPeer) this.#bytes += bytes;
    if (bytes < 0) this.#grantSoon();
  }

  /** A client that is alone gets what it needs, even if that is more than there is: else it would wait for ever. */
  #hasSpace({ isPeer, bytes: held }: Client, bytes: number): boolean {
    const { bytesMax, bytesPerClientMax, modestShareBytes, modestBytes, peerShareBytes } = this.options;
    if (isPeer || this.#bytes === 0) return true;
    if (held > 0 && held + bytes > bytesPerClientMax) return false;
    const forModest = held + bytes > modestBytes ? modestShareBytes : 0;
    const forPeers = Math.max(peerShareBytes, this.#peers.bytes);
    return this.#bytes + bytes <= bytesMax - forModest - forPeers;
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
      if (this.#waiting.size === 0) return;
      this.#endStalled();
      this.#look();
    });
  }

  /** Ends stalled calls: of each client whose own calls wait, and of all that hold much if others wait for them. */
  #endStalled(): void {
    const { bytesPerClientMax, modestBytes } = this.options;
    const othersWait = [...this.#waiting].some(
      ({ waiting: [waiter], bytes }) => waiter !== undefined && bytes + waiter.bytes <= bytesPerClientMax,
    );
    const stalled = [...this.#clients.values()]
      .filter(({ waiting, bytes }) => waiting.size > 0 || (othersWait && bytes > modestBytes))
      .flatMap(({ calls }) => [...calls].filter((call) => call.isStalledSince(this.#looks.count - looksInPatience)));
    for (const call of stalled) call.end();
    if (stalled.length > 0) this.onEnded(stalled.length);
  }
}
