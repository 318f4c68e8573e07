import type { MonotonicMs } from '../../../application/ports/clock.js';
import type { ProbeAnswer } from '../probe.js';
import { PeerDial, type PeerDialEvents, type PeerDialOptions } from './peer-dial.js';

/** The number of addresses remembered at which the peer was connected before, and of those where nothing listens. */
const rememberedMax = 8;

export interface PeerConnectionOptions extends Omit<PeerDialOptions, 'rpcAddr'> {
  /** One or more of HOST:PORT, the configured one first. */
  readonly addresses: readonly string[];
}

/**
 * A connection with one stream to a peer that may be at any of several addresses. All are dialed at once, each on its
 * own, so that an address where no node answers, or another one, delays none. The first at which the peer proves its
 * identity is used until it breaks.
 */
export class PeerConnection {
  #addresses: readonly string[];
  readonly #dials = new Map<string, PeerDial>();
  #open: PeerDial | undefined;
  #closed = false;
  /** The last time the peer was connected, by address. */
  readonly #answeredAt = new Map<string, MonotonicMs>();
  readonly #createdAt: MonotonicMs;
  /** The addresses whose hosts said at the last attempt that no process listens there. */
  readonly #deserted = new Set<string>();

  constructor(
    private readonly options: PeerConnectionOptions,
    private readonly events: Omit<PeerDialEvents, 'probed'>,
  ) {
    this.#addresses = options.addresses;
    this.#createdAt = options.clock.now();
    this.#dialAll();
  }

  /**
   * Returns the time since the peer was last connected at an address that `at` accepts: it must admit this node, then
   * answer pings. Infinity if no process listens at any of these addresses: a process that ended is known at once.
   */
  unansweredMs(at: (rpcAddr: string) => boolean = () => true): number {
    if (this.#open !== undefined && at(this.#open.rpcAddr)) return 0;
    const inhabited = [...new Set([...this.#addresses, ...this.#answeredAt.keys()])].filter(
      (rpcAddr) => at(rpcAddr) && !this.#deserted.has(rpcAddr),
    );
    if (inhabited.length === 0) return Infinity;
    const answered = inhabited.map((rpcAddr) => this.#answeredAt.get(rpcAddr) ?? this.#createdAt);
    return Math.max(0, this.options.clock.now() - Math.max(this.#createdAt, ...answered));
  }

  get state(): 'dialing' | 'open' | 'waiting' | 'closed' {
    if (this.#closed) return 'closed';
    if (this.#open !== undefined) return 'open';
    return this.#isDialing ? 'dialing' : 'waiting';
  }

  /** HOST:PORT where the peer is connected. */
  get openAt(): string | undefined {
    return this.#open?.rpcAddr;
  }

  /** True if the open connection uses a certificate or CA that has been replaced: the peer may soon reject it. */
  get isOutdated(): boolean {
    return this.#open?.isOutdated === true;
  }

  /** Redials at once; unanswered messages may not have arrived. Call only while open. */
  renew(): void {
    const open = this.#open;
    this.#noteEnd();
    open?.renew();
    this.#dialAll();
  }

  /** Calls `sent` once the connection has accepted the message, or never if it breaks first. Call only while open. */
  write(message: Buffer, sent: () => void): void {
    this.#open?.write(message, sent);
  }

  /**
   * Sets the addresses of the peer, the configured one first. An open connection stays, because the peer has proved its
   * identity there, unless the configured address has changed to another one.
   */
  locate(addresses: readonly string[]): void {
    const [before] = this.#addresses;
    this.#addresses = addresses;
    const open = this.#open;
    if (open === undefined) {
      this.#dialAll();
    } else if (addresses[0] !== before && addresses[0] !== open.rpcAddr) {
      this.#noteEnd();
      open.close();
      this.#dials.delete(open.rpcAddr);
      this.#dialAll();
      this.events.broken();
    }
  }

  /** Redials at once if this waits to redial, because the peer was heard from. */
  wake(): void {
    for (const dial of this.#dials.values()) dial.wake();
  }

  close(): void {
    this.#closed = true;
    for (const dial of this.#dials.values()) dial.close();
    this.#dials.clear();
    this.#open = undefined;
  }

  get #isDialing(): boolean {
    return [...this.#dials.values()].some(({ state }) => state === 'dialing');
  }

  /**
   * Dials each address that is not dialed yet, and stops dialing those that the peer no longer has, except the one where
   * it was last connected.
   */
  #dialAll(): void {
    if (this.#closed) return;
    const last = [...this.#answeredAt.keys()].at(-1);
    for (const [rpcAddr, dial] of this.#dials) {
      if (this.#addresses.includes(rpcAddr) || rpcAddr === last) continue;
      dial.close();
      this.#dials.delete(rpcAddr);
    }
    for (const rpcAddr of this.#addresses) {
      if (this.#dials.has(rpcAddr)) continue;
      const dial: PeerDial = new PeerDial(
        { ...this.options, rpcAddr },
        {
          probed: (answer) => this.#probed(rpcAddr, answer),
          opened: () => this.#opened(dial),
          received: (bytes) => this.events.received(bytes),
          broken: () => this.#broken(dial),
        },
      );
      this.#dials.set(rpcAddr, dial);
    }
  }

  #probed(rpcAddr: string, answer: ProbeAnswer): void {
    this.#deserted.delete(rpcAddr);
    if (answer !== 'refused') return;
    this.#deserted.add(rpcAddr);
    const [oldest] = this.#deserted;
    if (this.#deserted.size > rememberedMax && oldest !== undefined) this.#deserted.delete(oldest);
  }

  #opened(dial: PeerDial): void {
    this.#open = dial;
    for (const [rpcAddr, other] of this.#dials) {
      if (other === dial) continue;
      other.close();
      this.#dials.delete(rpcAddr);
    }
    this.events.opened();
  }

  #broken(dial: PeerDial): void {
    if (dial === this.#open) {
      this.#noteEnd();
      this.#dialAll();
    } else if (this.#open !== undefined || this.#isDialing) return;
    this.events.broken();
  }

  #noteEnd(): void {
    if (this.#open === undefined) return;
    const { rpcAddr } = this.#open;
    this.#open = undefined;
    // Moves it to the end of the map.
    this.#answeredAt.delete(rpcAddr);
    this.#answeredAt.set(rpcAddr, this.options.clock.now());
    const [oldest] = this.#answeredAt.keys();
    if (this.#answeredAt.size > rememberedMax) this.#answeredAt.delete(oldest);
  }
}
