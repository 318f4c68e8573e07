import type { Cluster } from '../../application/cluster.js';
import { UnavailableError } from '../../application/errors.js';
import type { Clock } from '../../application/ports/clock.js';
import type { AppendReceipt, ProposeOptions } from '../../application/ports/consensus.js';
import type { Logger } from '../../application/ports/logger.js';
import type { Peer, PeerReceiver, PeerTransport } from '../../application/ports/peer-transport.js';
import type { Records, Seal } from '../../domain/log/record-batch.js';
import type { Message } from '../../domain/raft/message.js';
import type { PeerEndpoint } from './peer-endpoint.js';
import { PeerLink } from './peer-link.js';
import { RemoteCluster } from './remote-cluster.js';

export interface GrpcPeerTransportOptions {
  /** Of the log: its id is the cluster's. */
  readonly seal: Seal;
  /** What this node's gRPC listener serves to peers. */
  readonly endpoint: PeerEndpoint;
  readonly clock: Clock;
  /** In [0, 1), for the jitter of dialling again. */
  readonly random: () => number;
  readonly logger: Logger;
}

/** Links over `golog.peer.v1.PeerService`: see `PeerLink` for what goes where. */
export class GrpcPeerTransport implements PeerTransport {
  readonly #links = new Map<number, PeerLink>();
  readonly #unreachable = new Set<number>();
  #self = 0;
  #receiver: PeerReceiver | undefined;
  /** The highest id ever named as a member: ids are given in order, so that a lower unknown one was removed. */
  #highestId = 0;
  #members: ReadonlySet<number> = new Set();
  #closed = false;

  constructor(private readonly options: GrpcPeerTransportOptions) {}

  start(self: number, receiver: PeerReceiver): void {
    this.#self = self;
    this.#receiver = receiver;
    this.options.endpoint.open({
      self,
      seal: this.options.seal,
      receiver,
      isRemoved: (id) => this.#isRemoved(id),
      heardFrom: (id) => this.#links.get(id)?.wake(),
    });
  }

  setPeers(peers: readonly Peer[]): void {
    if (this.#closed) return;
    const { seal, clock, random, logger, endpoint } = this.options;
    const others = peers.filter(({ id }) => id !== this.#self);
    const before = this.#members;
    this.#members = new Set(peers.map(({ id }) => id));
    this.#highestId = Math.max(this.#highestId, this.#self, ...this.#members);
    for (const id of before) if (this.#isRemoved(id)) endpoint.turnOut(id);
    for (const [id, link] of this.#links) {
      if (others.some((peer) => peer.id === id && peer.rpcAddr === link.peer.rpcAddr)) continue;
      link.close();
      this.#links.delete(id);
    }
    for (const peer of others) {
      if (this.#links.has(peer.id)) continue;
      const identity = { clusterId: seal.logId, from: this.#self, to: peer.id };
      const lost = (): void => {
        this.#tellUnreachable(peer.id);
      };
      this.#links.set(peer.id, new PeerLink(peer, { identity, clock, random, logger }, lost));
    }
  }

  send(messages: readonly Message[]): void {
    const used = new Set<PeerLink>();
    for (const message of messages) {
      const link = this.#links.get(message.to);
      if (link === undefined) {
        this.#tellUnreachable(message.to);
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

  clusterOf(to: number): Cluster {
    return new RemoteCluster(this.#linkTo(to).client);
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

  #linkTo(id: number): PeerLink {
    const link = this.#links.get(id);
    if (link === undefined) throw new UnavailableError(`there is no link to member ${id}`);
    return link;
  }

  #isRemoved(id: number): boolean {
    return id < this.#highestId && !this.#members.has(id);
  }

  /** Not within the call that lost something: the core is at work then. */
  #tellUnreachable(id: number): void {
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
