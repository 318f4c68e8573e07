import { encodeNodeTags, type GossipNode, gossipNodes, type NodeTags } from './gossip-tags.js';
import { isAlone, keepInGossip } from './gossip-join.js';
import type { Clock } from '../ports/clock.js';
import type { Gossip } from '../ports/gossip.js';
import type { Logger } from '../ports/logger.js';
import type { Peer } from '../ports/peer-transport.js';
import type { Sighting } from './beginning.js';

export interface DiscoveryOptions {
  readonly gossip: Gossip;
  /** HOST:PORT of the gossip of nodes to contact first. */
  readonly startJoinAddrs: readonly string[];
  readonly tags: NodeTags;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onFailure: (error: unknown) => void;
}

/** At most this many of the addresses that gossip reports for one UUID are dialed. */
const seenMax = 4;
/** The most nodes of which this remembers where they called from or answered. */
const heardMax = 64;

/** Finds the other nodes, and makes this node known to them, through gossip. */
export class Discovery {
  readonly #closing = new AbortController();
  readonly #joining: Promise<void>;
  readonly #unanswered: Set<string>;
  #askedAll = false;
  /** HOST:PORT where a node answered or said that it is, by UUID; the last one heard is at the end. */
  readonly #heardAt = new Map<string, string>();
  readonly #listeners = new Set<() => void>();
  #tags: NodeTags;

  private constructor(
    private readonly options: DiscoveryOptions,
    /** HOST:PORT where this node listens for gossip. */
    readonly addr: string,
  ) {
    const { gossip, startJoinAddrs: addrs, tags, clock, logger, onFailure } = options;
    this.#tags = tags;
    const { signal } = this.#closing;
    this.#unanswered = new Set(addrs);
    const onAnswer = (addr: string): void => void this.#unanswered.delete(addr);
    const onRound = (): void => void (this.#askedAll = true);
    if (addrs.length + gossip.former.length === 0) {
      onRound();
      this.#joining = Promise.resolve();
    } else this.#joining = keepInGossip({ gossip, addrs, clock, logger, signal, onAnswer, onRound }).catch(onFailure);
  }

  /** Rejects as `Gossip.start`. */
  static async start(options: DiscoveryOptions): Promise<Discovery> {
    options.gossip.setTags(encodeNodeTags(options.tags));
    return new Discovery(options, await options.gossip.start());
  }

  /** Announces the cluster that this node is in. */
  enter(clusterId: string): void {
    if (this.#tags.clusterId === clusterId) return;
    this.#tags = { ...this.#tags, clusterId };
    this.options.gossip.setTags(encodeNodeTags(this.#tags));
  }

  /** Returns the other live nodes that may run Raft, without those of another cluster. */
  nodes(): GossipNode[] {
    return this.#others().filter(({ role, status }) => role === 'node' && status === 'alive');
  }

  /** Remembers where the node with this UUID answered, or said that it is. Gossip may learn that later. */
  heard(uuid: string, rpcAddr: string): void {
    const isNew = this.#heardAt.get(uuid) !== rpcAddr;
    this.#heardAt.delete(uuid);
    this.#heardAt.set(uuid, rpcAddr);
    const [oldest] = this.#heardAt.keys();
    if (this.#heardAt.size > heardMax && oldest !== undefined) this.#heardAt.delete(oldest);
    if (isNew) for (const listener of this.#listeners) listener();
  }

  /**
   * Returns the member with the addresses where it was heard and where gossip sees its UUID. Any node can claim that UUID
   * in gossip, so live nodes come first, and among them the one with the member's name.
   */
  locate<Known extends Peer>(member: Known): Known & Pick<Peer, 'seenAt'> {
    if (!member.uuid) return member;
    const rank = ({ name, status }: GossipNode): number =>
      (name === member.name ? 0 : 1) + (status === 'alive' ? 0 : 2);
    const seen = this.#others()
      .filter(({ uuid, rpcAddr }) => uuid === member.uuid && rpcAddr !== member.rpcAddr)
      .sort((a, b) => rank(a) - rank(b));
    const heardAt = this.#heardAt.get(member.uuid);
    const addresses = new Set([...(heardAt === undefined ? [] : [heardAt]), ...seen.map(({ rpcAddr }) => rpcAddr)]);
    addresses.delete(member.rpcAddr);
    return { ...member, seenAt: [...addresses].slice(0, seenMax) };
  }

  /** Calls `listener` when nodes may be at other addresses, until the returned function is called. */
  onChange(listener: () => void): () => void {
    const stop = this.options.gossip.onChange(listener);
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
      stop();
    };
  }

  #others(): GossipNode[] {
    const { clusterId, uuid } = this.#tags;
    return gossipNodes(this.options.gossip.members()).filter(
      (node) =>
        node.uuid !== uuid && (clusterId === undefined || node.clusterId === undefined || node.clusterId === clusterId),
    );
  }

  /**
   * HOST:PORTs from which no node has answered through gossip yet: of those that were given, and, while no other node is seen,
   * of those that were alive when this node last ran.
   */
  get silent(): readonly string[] {
    const { gossip } = this.options;
    return [...new Set([...this.#unanswered, ...(isAlone(gossip) ? gossip.former : [])])];
  }

  /** Returns what gossip tells about clusters, by nodes that are alive or not, and by replicas. */
  get sighting(): Sighting {
    const clusterIds = this.#others().flatMap(({ clusterId }) => clusterId ?? []);
    return { clusterIds: [...new Set(clusterIds)], unanswered: [...this.#unanswered], askedAll: this.#askedAll };
  }

  /** Tells the others that this node leaves. */
  leave(): Promise<void> {
    return this.options.gossip.leave();
  }

  /** Ends without telling the others. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.options.gossip.close();
    await this.#joining;
  }
}
