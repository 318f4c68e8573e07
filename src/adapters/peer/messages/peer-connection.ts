import type { EpochMs } from '../../../domain/log/offsets.js';
import { PeerDial, type PeerDialEvents, type PeerDialOptions } from './peer-dial.js';

/** Of the addresses where the peer was connected before, so many are remembered. */
const placesMax = 8;

export interface PeerConnectionOptions extends Omit<PeerDialOptions, 'rpcAddr'> {
  /** HOST:PORT, one or more: the one that the configuration has first. */
  readonly addresses: readonly string[];
}

/**
 * A connection with one stream to a peer, which may be at any of some addresses. They are dialled at once and each by
 * itself, so that one where nobody answers, or somebody else, holds up no other; the first where the peer proves who it
 * is stays, until it breaks.
 */
export class PeerConnection {
  #addresses: readonly string[];
  readonly #dials = new Map<string, PeerDial>();
  #open: PeerDial | undefined;
  #closed = false;
  /** When the peer was last connected at an address. */
  readonly #answeredAt = new Map<string, EpochMs>();
  readonly #madeAt: EpochMs;

  constructor(
    private readonly options: PeerConnectionOptions,
    private readonly events: PeerDialEvents,
  ) {
    this.#addresses = options.addresses;
    this.#madeAt = options.clock.now();
    this.#dialAll();
  }

  /**
   * For how long the peer has not been connected at such an address: it answers to be let in, and then to pings.
   */
  unansweredMs(at: (rpcAddr: string) => boolean = () => true): number {
    if (this.#open !== undefined && at(this.#open.rpcAddr)) return 0;
    const answered = [...this.#answeredAt].filter(([rpcAddr]) => at(rpcAddr)).map(([, time]) => time);
    return Math.max(0, this.options.clock.now() - Math.max(this.#madeAt, ...answered));
  }

  get state(): 'dialling' | 'open' | 'waiting' | 'closed' {
    if (this.#closed) return 'closed';
    if (this.#open !== undefined) return 'open';
    return this.#isDialling ? 'dialling' : 'waiting';
  }

  /** HOST:PORT where the peer is connected. */
  get openAt(): string | undefined {
    return this.#open?.rpcAddr;
  }

  /** It is open by a certificate, or a CA, that was replaced since: the peer may not take that much longer. */
  get isOutdated(): boolean {
    return this.#open?.isOutdated === true;
  }

  /** Dials anew at once. What was written and not answered may not have arrived. Only while open. */
  renew(): void {
    const open = this.#open;
    this.#noteEnd();
    open?.renew();
    this.#dialAll();
  }

  /** Calls `sent` once the connection has taken the message; never when it breaks before. Only while open. */
  write(message: Buffer, sent: () => void): void {
    this.#open?.write(message, sent);
  }

  /**
   * Where the peer may be from now on. A connection that is open stays, for the peer has proved to be there; but not
   * where the configuration has come to say that the peer is elsewhere.
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

  /** The peer was heard from: dials at once where this waits to dial again. */
  wake(): void {
    for (const dial of this.#dials.values()) dial.wake();
  }

  close(): void {
    this.#closed = true;
    for (const dial of this.#dials.values()) dial.close();
    this.#dials.clear();
    this.#open = undefined;
  }

  get #isDialling(): boolean {
    return [...this.#dials.values()].some(({ state }) => state === 'dialling');
  }

  /** Dials each address that is not dialled yet, and none that the peer has no more; where it was last counts as one. */
  #dialAll(): void {
    if (this.#closed) return;
    const lastly = [...this.#answeredAt.keys()].at(-1);
    for (const [rpcAddr, dial] of this.#dials) {
      if (this.#addresses.includes(rpcAddr) || rpcAddr === lastly) continue;
      dial.close();
      this.#dials.delete(rpcAddr);
    }
    for (const rpcAddr of this.#addresses) {
      if (this.#dials.has(rpcAddr)) continue;
      const dial: PeerDial = new PeerDial(
        { ...this.options, rpcAddr },
        {
          opened: () => this.#opened(dial),
          received: (bytes) => this.events.received(bytes),
          broken: () => this.#broken(dial),
        },
      );
      this.#dials.set(rpcAddr, dial);
    }
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
    } else if (this.#open !== undefined || this.#isDialling) return;
    this.events.broken();
  }

  #noteEnd(): void {
    if (this.#open === undefined) return;
    const { rpcAddr } = this.#open;
    this.#open = undefined;
    // Last in the order of the map.
    this.#answeredAt.delete(rpcAddr);
    this.#answeredAt.set(rpcAddr, this.options.clock.now());
    const [oldest] = this.#answeredAt.keys();
    if (this.#answeredAt.size > placesMax) this.#answeredAt.delete(oldest);
  }
}
