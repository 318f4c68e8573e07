import { UnavailableError } from '../../src/application/errors.js';
import { type Gossip, type GossipMember, OwnAddressError } from '../../src/application/ports/gossip.js';
import type { Listener, Network } from './network.js';
import type { SimulatedTransport } from './simulated-transport.js';

const spreadEveryMs = 1_000;
/** A node without news for this long counts as failed. */
const failedMs = 5_000;

/** What is known about a node; the later update wins. */
interface Rumor extends Pick<GossipMember, 'name' | 'addr' | 'tags'> {
  readonly updatedMs: number;
  readonly left: boolean;
}

/**
 * Gossip over the simulated network, with its delays, losses and cuts: each node sends all it knows to every node that
 * it knows, once a second.
 */
export class SimulatedGossip implements Gossip {
  readonly former = [];
  readonly #rumors = new Map<string, Rumor>();
  readonly #listeners = new Set<() => void>();
  #tags: ReadonlyMap<string, string> = new Map();
  #left = false;
  #closed = false;

  constructor(
    private readonly network: Network,
    private readonly own: Listener,
    private readonly transport: SimulatedTransport,
  ) {}

  async start(): Promise<string> {
    this.own.gossip = this;
    this.#saySelf();
    this.#waitToTell();
    return this.own.address;
  }

  members(): readonly GossipMember[] {
    const { nowMs } = this.own.process.world;
    const byName = [...this.#rumors.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    return byName.map(({ name, addr, tags, updatedMs, left }) => ({
      name,
      addr,
      tags,
      status: left ? 'left' : nowMs - updatedMs < failedMs || name === this.own.machine ? 'alive' : 'failed',
    }));
  }

  async join(addrs: readonly string[], signal: AbortSignal): Promise<number> {
    if (addrs.length > 0 && addrs.every((addr) => addr === this.own.address))
      throw new OwnAddressError('it is the address of this node');
    const asked = addrs.map(async (addr) => {
      const rumors = await this.transport.call(addr, 'gossip join', ({ gossip }) => gossip?.exchange(this.#all()));
      this.hear(rumors);
    });
    const answered = (await Promise.allSettled(asked)).filter(({ status }) => status === 'fulfilled').length;
    signal.throwIfAborted();
    if (answered === 0) throw new UnavailableError(`no member answers at ${addrs.join(', ')}`);
    return answered;
  }

  setTags(tags: ReadonlyMap<string, string>): void {
    this.#tags = new Map(tags);
    if (this.own.gossip === this) this.#spread();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async leave(): Promise<void> {
    this.#left = true;
    this.#spread();
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  hear(rumors: readonly Rumor[]): void {
    let isNews = false;
    for (const rumor of rumors) {
      const known = this.#rumors.get(rumor.name);
      if (rumor.name === this.own.machine || rumor.updatedMs <= (known?.updatedMs ?? -1)) continue;
      this.#rumors.set(rumor.name, rumor);
      isNews ||= rumor.addr !== known?.addr || rumor.tags !== known.tags;
    }
    if (isNews) for (const listener of this.#listeners) listener();
  }

  async exchange(rumors: readonly Rumor[]): Promise<readonly Rumor[]> {
    this.hear(rumors);
    return this.#all();
  }

  #all(): readonly Rumor[] {
    return [...this.#rumors.values()];
  }

  #saySelf(): void {
    const { machine: name, address: addr, process } = this.own;
    this.#rumors.set(name, { name, addr, tags: this.#tags, updatedMs: process.world.nowMs, left: this.#left });
  }

  #waitToTell(): void {
    this.own.process.schedule(spreadEveryMs, 'gossips', () => {
      if (this.#closed) return;
      this.#spread();
      this.#waitToTell();
    });
  }

  #spread(): void {
    this.#saySelf();
    const rumors = this.#all();
    for (const { name, addr } of rumors)
      if (name !== this.own.machine)
        this.network.carry(
          this.own,
          addr,
          'gossip',
          'gossip',
          ({ gossip }) => gossip?.hear(rumors),
          () => undefined,
        );
  }
}
