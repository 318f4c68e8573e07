import type { Cluster } from '../../../application/ports/cluster.js';
import { UnavailableError } from '../../../application/errors.js';
import type { Clock } from '../../../application/ports/clock.js';
import type { AppendReceipt, Producers, ProposeOptions } from '../../../application/ports/consensus.js';
import type { Logger } from '../../../application/ports/logger.js';
import type { Peer, PeerReceiver, PeerTransport } from '../../../application/ports/peer-transport.js';
import type { Records, BatchChecksum } from '../../../domain/log/record-batch.js';
import type { Message } from '../../../domain/raft/message.js';
import type { PeerCredentials } from '../identity/peer-credentials.js';
import type { PeerEndpoint } from '../peer-endpoint.js';
import { PeerLink } from './peer-link.js';
import { RemoteCluster } from '../remote-cluster.js';

export interface GrpcPeerTransportOptions {
  /** Holds the log id, which is also the cluster id. */
  readonly checksum: BatchChecksum;
  /** The peer service of this node's gRPC listener. */
  readonly endpoint: PeerEndpoint;
  readonly clock: Clock;
  /** Returns a number in [0, 1), for the jitter of redials. */
  readonly random: () => number;
  readonly logger: Logger;
  /** This node's name, for peers that compare it with its certificate. */
  readonly name?: string;
  /** The credentials for connections to peers (default: without TLS). */
  readonly credentials?: PeerCredentials;
}

/** The limit on callers that this node does not know as members yet: a lagging node misses only a few. */
const unlistedPeersMax = 16;
/** The limit on callers whose feature level is remembered. */
const offersMax = 256;

/** Peer links over `golog.peer.v1.PeerService`; `PeerLink` assigns messages to lanes. */
export class GrpcPeerTransport implements PeerTransport {
  readonly #links = new Map<number, PeerLink>();
  readonly #unreachable = new Set<number>();
  #self: Peer = { id: 0, rpcAddr: '' };
  #configured: readonly Peer[] = [];
  /** The addresses that configured peers gave when they last called this node, by id. */
  readonly #calledFrom = new Map<number, string>();
  /** The feature levels that callers offered when they last called, by id. */
  readonly #offered = new Map<number, number>();
  /** Callers that are not configured peers, by id. */
  readonly #unlistedPeers = new Map<number, Peer>();
  #receiver: PeerReceiver | undefined;
  /** The highest id ever configured as a member. Ids are assigned in order, so a lower unknown id was removed. */
  #highestId = 0;
  #members: ReadonlySet<number> = new Set();
  #closed = false;

  constructor(private readonly options: GrpcPeerTransportOptions) {}

  start(self: Peer, receiver: PeerReceiver): void {
    this.#self = self;
    this.#receiver = receiver;
    this.options.endpoint.open({
      self: self.id,
      uuid: self.uuid ?? '',
      checksum: this.options.checksum,
      receiver,
      isRemoved: (id) => this.#isRemoved(id),
      nameOf: (id) => this.#configured.find((peer) => peer.id === id)?.name,
      uuidOf: (id) => this.#configured.find((peer) => peer.id === id)?.uuid,
      heardFrom: (peer, featureLevel) => {
        this.#noteOffer(peer.id, featureLevel);
        this.#heardFrom(peer);
      },
    });
  }

  setPeers(peers: readonly Peer[]): void {
    if (this.#closed) return;
    const before = this.#members;
    this.#configured = peers.filter(({ id }) => id !== this.#self.id);
    this.#members = new Set(peers.map(({ id }) => id));
    this.#highestId = Math.max(this.#highestId, this.#self.id, ...this.#members);
    for (const id of [...before, ...this.#unlistedPeers.keys()]) {
      if (this.#members.has(id) || this.#isRemoved(id)) this.#unlistedPeers.delete(id);
      if (this.#isRemoved(id)) this.options.endpoint.disconnect(id);
    }
    this.#link();
  }

  send(messages: readonly Message[]): void {
    const used = new Set<PeerLink>();
    for (const message of messages) {
      const link = this.#links.get(message.to);
      if (link === undefined) {
        this.#reportUnreachable(message.to);
        continue;
      }
      link.send(message);
      used.add(link);
    }
    for (const link of used) link.flush();
  }

  async append(to: number, records: Records, options: ProposeOptions): Promise<AppendReceipt> {
    return this.#linkTo(to).append(records, options);
  }

  producersOf(to: number): Producers {
    return this.#linkTo(to).producers;
  }

  clusterOf(to: number): Cluster {
    return new RemoteCluster(this.#linkTo(to).client);
  }

  unansweredMs(id: number, at?: (rpcAddr: string) => boolean): number {
    return this.#links.get(id)?.unansweredMs(at) ?? Infinity;
  }

  featureLevelOf(id: number): number | undefined {
    return this.#offered.get(id);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#receiver = undefined;
    this.options.endpoint.shut();
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }

  /** Bytes of messages that wait for a peer, for tests and metrics. */
  waitingBytes(to: number): number {
    return this.#links.get(to)?.waitingBytes ?? 0;
  }

  #noteOffer(id: number, featureLevel: number): void {
    // Moves it to the end of the map.
    this.#offered.delete(id);
    this.#offered.set(id, featureLevel);
    const [oldest] = this.#offered.keys();
    if (this.#offered.size > offersMax) this.#offered.delete(oldest);
  }

  #heardFrom(peer: Peer): void {
    const known = this.#links.get(peer.id);
    if (this.#members.has(peer.id)) {
      if (peer.rpcAddr !== '') this.#calledFrom.set(peer.id, peer.rpcAddr);
      known?.locate(this.#addressesOf(known.peer));
      known?.wake();
    } else if (peer.rpcAddr !== '' && known?.peer.rpcAddr !== peer.rpcAddr) {
      this.#unlistedPeers.delete(peer.id);
      const [oldest] = this.#unlistedPeers.keys();
      if (this.#unlistedPeers.size >= unlistedPeersMax) this.#unlistedPeers.delete(oldest);
      this.#unlistedPeers.set(peer.id, peer);
      this.#link();
    } else known?.wake();
  }

  /** Returns the addresses at which to dial a peer, the configured one first. */
  #addressesOf({ id, rpcAddr, seenAt = [] }: Peer): readonly string[] {
    const calledFrom = this.#calledFrom.get(id);
    return [...new Set([rpcAddr, ...seenAt, ...(calledFrom === undefined ? [] : [calledFrom])])];
  }

  /** Keeps one link to each peer and unlisted peer, with its current addresses, and closes all others. */
  #link(): void {
    const { checksum, clock, random, logger, name = '', credentials } = this.options;
    const wanted = [...this.#configured, ...this.#unlistedPeers.values()];
    for (const [id, link] of this.#links) {
      const peer = wanted.find((each) => isSame(each, link.peer));
      if (peer !== undefined) {
        link.peer = peer;
        link.locate(this.#addressesOf(peer));
        continue;
      }
      link.close();
      this.#links.delete(id);
      this.#calledFrom.delete(id);
      this.#offered.delete(id);
    }
    const onSuperseded = (generation: number): void => this.#receiver?.superseded?.(generation);
    for (const peer of wanted) {
      if (this.#links.has(peer.id)) continue;
      const { id: from, rpcAddr, uuid = '' } = this.#self;
      const { generation = 0 } = this.#receiver?.settings ?? {};
      const [to, toUuid] = [peer.id, peer.uuid ?? ''];
      const identity = { clusterId: checksum.logId, from, to, rpcAddr, name, uuid, toUuid, generation };
      const addresses = this.#addressesOf(peer);
      const lost = (): void => {
        this.#reportUnreachable(peer.id);
      };
      this.#links.set(
        peer.id,
        new PeerLink(
          peer,
          { addresses, identity, clock, random, logger, onSuperseded, ...(credentials && { credentials }) },
          lost,
        ),
      );
    }
  }

  #linkTo(id: number): PeerLink {
    const link = this.#links.get(id);
    if (link === undefined) throw new UnavailableError(`no connection to member ${id}`);
    return link;
  }

  #isRemoved(id: number): boolean {
    return id < this.#highestId && !this.#members.has(id);
  }

  /** Reports later, never during the call that lost a message: the Raft core is running then. */
  #reportUnreachable(id: number): void {
    if (this.#receiver === undefined) return;
    if (this.#unreachable.size === 0)
      this.options.clock.soon(() => {
        const ids = [...this.#unreachable];
        this.#unreachable.clear();
        for (const each of ids) this.#receiver?.unreachable(each);
      });
    this.#unreachable.add(id);
  }
}

/** Whether the two are the same member, wherever it is. */
function isSame(one: Peer, other: Peer): boolean {
  return one.id === other.id && one.name === other.name && one.uuid === other.uuid;
}
