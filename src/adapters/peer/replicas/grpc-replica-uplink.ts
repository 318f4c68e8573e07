import { create, toBinary } from '@bufbuild/protobuf';
import type { ClientReadableStream, Metadata } from '@grpc/grpc-js';
import { Client } from '@grpc/grpc-js';
import type { Cluster } from '../../../application/ports/cluster.js';
import { UnavailableError } from '../../../application/errors.js';
import type { Clock } from '../../../application/ports/clock.js';
import type { AppendReceipt, Producers, ProposeOptions } from '../../../application/ports/consensus.js';
import type { Logger } from '../../../application/ports/logger.js';
import type { Peer } from '../../../application/ports/peer-transport.js';
import type { Contact, FollowFrom, ReplicaUplink, SourceNews } from '../../../application/ports/replica-uplink.js';
import { type Offset, toOffset } from '../../../domain/log/offsets.js';
import type { Records, BatchChecksum } from '../../../domain/log/record-batch.js';
import {
  GetReadBarrierRequestSchema,
  GetReadBarrierResponseSchema,
  PeerService,
} from '../../../gen/golog/peer/v1/peer_service_pb.js';
import { AppendCalls } from '../appends/append-calls.js';
import { ask, pathOf, same } from '../ask.js';
import { receive } from '../entries/grpc-entry-source.js';
import { peerChannelOptions } from '../messages/peer-dial.js';
import { inClear, type PeerCredentials } from '../identity/peer-credentials.js';
import { identityMetadata, type PeerIdentity } from '../identity/peer-identity.js';
import { RemoteCluster } from '../remote-cluster.js';
import { decodeNews, encodeFollowFrom } from './replica-wire.js';
import { peerMessage } from '../messages/peer-message.js';
import { safeNumber } from '../safe-number.js';

const barrierMs = 3_000;
/** The limit on stored clients per kind; the least recently used one is closed. */
const storedMax = 16;

export interface GrpcReplicaUplinkOptions {
  /** Holds the log id, or an empty id if this node does not know it yet: then it may only ask for a status. */
  readonly checksum: BatchChecksum;
  readonly self: { readonly name: string; readonly rpcAddr: string };
  /** The generation of this node's log (default 0). */
  readonly generation?: number;
  /** The credentials for connections to members (default: without TLS). */
  readonly credentials?: PeerCredentials;
  readonly clock: Clock;
  /** Returns a number in [0, 1), for the jitter of redials. */
  readonly random: () => number;
  readonly logger: Logger;
}

/** Makes a replica's calls over `golog.peer.v1.PeerService` and `golog.v1.ClusterService`. */
export class GrpcReplicaUplink implements ReplicaUplink {
  readonly #clients = new Map<string, Client>();
  readonly #appends = new Map<string, AppendCalls>();
  #closed = false;

  constructor(private readonly options: GrpcReplicaUplinkOptions) {}

  /** Opens one connection per call. Keepalive detects a dead one. */
  async *follow(source: Contact, from: FollowFrom, signal: AbortSignal): AsyncGenerator<SourceNews, void, void> {
    signal.throwIfAborted();
    const client = this.#dial(source);
    const stream: ClientReadableStream<Buffer> = client.makeServerStreamRequest(
      pathOf(PeerService.method.followEntries),
      same,
      same,
      encodeFollowFrom(from),
      this.#metadata(),
    );
    yield* receive(client, stream, signal, (bytes) => decodeNews(bytes, this.options.checksum));
  }

  async readBarrier(source: Contact, signal: AbortSignal): Promise<Offset> {
    signal.throwIfAborted();
    const request = Buffer.from(toBinary(GetReadBarrierRequestSchema, create(GetReadBarrierRequestSchema)));
    const question = { path: pathOf(PeerService.method.getReadBarrier), request, metadata: this.#metadata() };
    const bytes = await ask(this.#clientOf(source), { ...question, deadlineMs: barrierMs }, signal);
    return toOffset(safeNumber(peerMessage(GetReadBarrierResponseSchema, bytes).offset));
  }

  async append(leader: Peer, records: Records, options: ProposeOptions): Promise<AppendReceipt> {
    return this.#appendsTo(leader).append(records, options);
  }

  producersOf(leader: Peer): Producers {
    return this.#appendsTo(leader);
  }

  /** Uses the address at which the member accepts appends, if connected: it may differ from the known one. */
  clusterOf(member: Contact): Cluster {
    const openAt = [...this.#appends].find(([key]) => key.endsWith(` ${keyOf(member)}`))?.[1].openAt;
    return new RemoteCluster(this.#clientOf(openAt === undefined ? member : { ...member, rpcAddr: openAt }));
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const stored of [...this.#clients.values(), ...this.#appends.values()]) stored.close();
    this.#clients.clear();
    this.#appends.clear();
  }

  #identity(to: number): PeerIdentity {
    const { checksum, self, generation = 0 } = this.options;
    return { clusterId: checksum.logId, from: 0, to, rpcAddr: self.rpcAddr, name: self.name, generation };
  }

  #metadata(): Metadata {
    return identityMetadata(this.#identity(0));
  }

  #dial({ name, rpcAddr }: Contact): Client {
    const { credentials = inClear } = this.options;
    return new Client(rpcAddr, credentials(name), peerChannelOptions);
  }

  #clientOf(contact: Contact): Client {
    return this.#stored(this.#clients, keyOf(contact), () => this.#dial(contact));
  }

  #appendsTo(leader: Peer): AppendCalls {
    const { credentials, clock, random, logger } = this.options;
    const { id, name, uuid = '', rpcAddr, seenAt = [] } = leader;
    const addresses = [...new Set([rpcAddr, ...seenAt])];
    const identity = { ...this.#identity(id), toUuid: uuid };
    const calls = this.#stored(
      this.#appends,
      `${id} ${keyOf(leader)}`,
      () =>
        new AppendCalls({
          addresses,
          identity,
          clock,
          random,
          logger,
          ...(name !== undefined && { peerName: name }),
          ...(credentials && { credentials }),
        }),
    );
    calls.locate(addresses);
    return calls;
  }

  #stored<Stored extends { close(): void }>(all: Map<string, Stored>, key: string, make: () => Stored): Stored {
    if (this.#closed) throw new UnavailableError('this node is shutting down');
    const stored = all.get(key) ?? make();
    all.delete(key);
    all.set(key, stored);
    const [oldest] = all.keys();
    if (all.size > storedMax) {
      all.get(oldest)?.close();
      all.delete(oldest);
    }
    return stored;
  }
}

const keyOf = ({ name = '', rpcAddr }: Contact): string => `${name} ${rpcAddr}`;
