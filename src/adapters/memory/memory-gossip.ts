import { UnavailableError } from '../../application/errors.js';
import type { Clock } from '../../application/ports/clock.js';
import { type Gossip, type GossipMember, OwnAddressError } from '../../application/ports/gossip.js';

type Tags = ReadonlyMap<string, string>;

/** A version of a member's state; the greater version is the newer one. */
interface Rumour extends GossipMember {
  readonly version: number;
}

export interface MemoryGossipOptions {
  readonly name: string;
  readonly tags: Tags;
  /** HOST:PORT (default: a free one). */
  readonly addr?: string;
  /** Returns whether a member with these tags belongs to this node's cluster (default: all do). */
  readonly accepts?: (own: Tags, other: Tags) => boolean;
}

/**
 * Nodes of one process that gossip, for tests. News arrives through `clock.soon`, never within the call that caused it.
 */
export class MemoryGossipNetwork {
  readonly #nodes = new Map<string, MemoryGossip>();
  readonly #cut = new Set<string>();
  #versions = 0;
  #ports = 0;

  constructor(private readonly clock: Clock) {}

  node(options: MemoryGossipOptions): MemoryGossip {
    return new MemoryGossip(this, { addr: `127.0.0.1:${++this.#ports}`, accepts: () => true, ...options });
  }

  /** Isolates the node until `heal`; both sides see each other as failed. */
  cut(name: string): void {
    this.#cut.add(name);
    for (const node of this.#nodes.values()) {
      if (node.name === name) for (const other of this.#nodes.values()) this.#miss(other, node);
      else for (const other of this.#nodes.values()) if (other.name === name) this.#miss(other, node);
    }
  }

  heal(): void {
    this.#cut.clear();
    for (const node of this.#nodes.values()) node.renew('alive');
    for (const node of this.#nodes.values()) this.spread(node);
  }

  version(): number {
    return ++this.#versions;
  }

  open(node: MemoryGossip): void {
    this.#nodes.set(node.addr, node);
  }

  /** The other nodes notice that it does not answer. */
  drop(node: MemoryGossip): void {
    if (this.#nodes.get(node.addr) !== node) return;
    this.#nodes.delete(node.addr);
    for (const other of this.#nodes.values()) this.#miss(node, other);
  }

  /** Returns the node that `from` reaches at the address. */
  reach(from: MemoryGossip, addr: string): MemoryGossip | undefined {
    const node = this.#nodes.get(addr);
    const isApart = this.#cut.has(from.name) !== this.#cut.has(node?.name ?? '');
    return node === undefined || isApart || !this.#nodes.has(from.addr) ? undefined : node;
  }

  /**
   * Exchanges state between the node and all nodes that it reaches through known members, including failed members that
   * are reachable again.
   */
  spread(from: MemoryGossip): void {
    const group = new Set([from]);
    for (const node of group)
      for (const { addr, status } of node.rumours())
        if (status !== 'left') {
          const next = this.reach(node, addr);
          if (next !== undefined && next.welcomes(node) && node.welcomes(next)) group.add(next);
        }
    const all = [...group].flatMap((node) => node.rumours());
    for (const node of group)
      this.clock.soon(() => {
        if (this.#nodes.get(node.addr) === node) node.hear(all);
      });
  }

  soon(callback: () => void): Promise<void> {
    return new Promise((resolve) => {
      this.clock.soon(() => {
        callback();
        resolve();
      });
    });
  }

  #miss(gone: MemoryGossip, by: MemoryGossip): void {
    const [last] = by.rumours().filter(({ name, status }) => name === gone.name && status === 'alive');
    if (last === undefined || gone === by) return;
    const missed: Rumour = { ...last, status: 'failed', version: this.version() };
    this.clock.soon(() => {
      by.hear([missed]);
    });
  }
}

/** One node of a `MemoryGossipNetwork`. */
export class MemoryGossip implements Gossip {
  readonly name: string;
  readonly addr: string;
  readonly former = [];
  readonly #network: MemoryGossipNetwork;
  readonly #accepts: (own: Tags, other: Tags) => boolean;
  readonly #known = new Map<string, Rumour>();
  readonly #listeners = new Set<() => void>();
  #tags: Tags;
  #state: 'new' | 'open' | 'closed' = 'new';

  constructor(network: MemoryGossipNetwork, { name, addr, tags, accepts }: Required<MemoryGossipOptions>) {
    checkTags(tags);
    this.name = name;
    this.addr = addr;
    this.#network = network;
    this.#accepts = accepts;
    this.#tags = tags;
  }

  async start(): Promise<string> {
    if (this.#state === 'closed') throw new UnavailableError('gossip is closed');
    if (this.#state === 'new') {
      this.#state = 'open';
      this.#network.open(this);
      this.renew('alive');
    }
    return this.addr;
  }

  members(): readonly GossipMember[] {
    const byName = [...this.#known.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    return byName.map(({ name, addr, tags, status }) => ({ name, addr, tags, status }));
  }

  async join(addrs: readonly string[], signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    if (this.#state !== 'open') throw new UnavailableError('gossip is not running');
    if (addrs.length > 0 && addrs.every((addr) => addr === this.addr))
      throw new OwnAddressError(`${addrs.join(', ')}: it is the address of this node`);
    const found = [...new Set(addrs)].map((addr) => this.#network.reach(this, addr));
    const others = found.filter((node) => node !== undefined && node !== this && node.welcomes(this));
    const met = others.filter((node) => node !== undefined && this.welcomes(node));
    await this.#network.soon(() => {
      for (const node of met) {
        if (node !== undefined) this.hear(node.rumours());
      }
    });
    signal.throwIfAborted();
    if (met.length === 0) throw new UnavailableError(`no member answers at ${addrs.join(', ')}`);
    this.renew('alive');
    this.#network.spread(this);
    return met.length;
  }

  setTags(tags: Tags): void {
    checkTags(tags);
    this.#tags = new Map(tags);
    if (this.#state !== 'open') return;
    this.renew('alive');
    this.#network.spread(this);
  }

  onChange(listener: () => void): () => void {
    const one = (): void => {
      listener();
    };
    this.#listeners.add(one);
    return () => void this.#listeners.delete(one);
  }

  async leave(): Promise<void> {
    if (this.#state !== 'open' || this.#known.get(this.name)?.status === 'left') return;
    this.renew('left');
    this.#network.spread(this);
    await this.#network.soon(() => undefined);
  }

  async close(): Promise<void> {
    this.#state = 'closed';
    this.#network.drop(this);
  }

  /** Returns everything that this node knows. */
  rumours(): Rumour[] {
    return [...this.#known.values()];
  }

  /** Returns whether every member that the other node knows belongs to this node's cluster. */
  welcomes(other: MemoryGossip): boolean {
    return other.rumours().every(({ tags }) => this.#accepts(this.#tags, tags));
  }

  hear(rumours: readonly Rumour[]): void {
    const own = this.#known.get(this.name)?.version ?? 0;
    const news = rumours.filter(({ name, version }) => version > (this.#known.get(name)?.version ?? 0));
    for (const one of news) this.#known.set(one.name, one);
    const isDoubted = (this.#known.get(this.name)?.version ?? 0) > own;
    if (isDoubted) this.renew('alive');
    else if (news.length > 0) this.#notify();
    if (isDoubted) this.#network.spread(this);
  }

  /** Publishes a newer version of this node's own state. */
  renew(status: 'alive' | 'left'): void {
    const { name, addr } = this;
    this.#known.set(name, { name, addr, tags: this.#tags, status, version: this.#network.version() });
    this.#notify();
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

/** Throws `RangeError` if the tags exceed Serf's limit: one type byte, then length-prefixed strings. */
function checkTags(tags: Tags): void {
  const sizeOf = (text: string): number => {
    const { length } = new TextEncoder().encode(text);
    return length + (length < 32 ? 1 : 3);
  };
  const entries = [...tags].reduce((sum, [name, value]) => sum + sizeOf(name) + sizeOf(value), 0);
  const bytes = 1 + (tags.size < 16 ? 1 : 3) + entries;
  if (bytes > 512) throw new RangeError(`the encoded tags take ${bytes} bytes: expected at most 512`);
}
