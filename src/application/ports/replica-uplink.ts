import type { Index, Offset, Term } from '../../domain/log/offsets.js';
import type { LogBoundary } from '../../domain/log/log-boundary.js';
import type { RecordBatch, Records } from '../../domain/log/record-batch.js';
import type { Cluster } from './cluster.js';
import type { ClusterSettings } from '../configuration/cluster-settings.js';
import type { Member } from '../configuration/configuration.js';
import type { Peer } from './peer-transport.js';
import type { AppendReceipt, Producers, ProposeOptions } from './consensus.js';

/** An address at which a member may answer. */
export interface Contact {
  /** Its `--node-name`, if known: the node that answers must have that name. */
  readonly name?: string;
  /** HOST:PORT of its gRPC. */
  readonly rpcAddr: string;
}

/** What a member tells a replica about itself and its cluster. */
export interface SourceStatus {
  /** The log id: 16 bytes. */
  readonly clusterId: Uint8Array;
  /** The start of its log: entries before it are not stored. */
  readonly start: LogBoundary;
  /** Its own Raft id. */
  readonly id: number;
  /** 0: it knows no leader. */
  readonly leaderId: number;
  readonly members: readonly Member[];
  /** Ids of the members that do not vote. */
  readonly learners: readonly number[];
  readonly settings: ClusterSettings;
}

/** An update from a source: entries, or, if there are none, a sign of life. */
export interface SourceNews {
  /** In order and without gaps; committed, and durable at the source. */
  readonly batches: readonly RecordBatch[];
  /** The source's own watermark, at least as high as the end of the batches. */
  readonly highWatermark: Offset;
  /** Sent first, and again when it has changed. */
  readonly status?: SourceStatus;
}

/** The first entry that a replica asks for, and the term of the entry before it: 0 if the replica has none. */
export interface FollowFrom {
  readonly index: Index;
  readonly term: Term;
}

/** The logs of a replica and of a source differ in an entry that both have. */
export class OtherHistoryError extends Error {
  override readonly name = 'OtherHistoryError';
}

/** Answers replicas at a member. */
export interface ReplicaHandler {
  /**
   * Yields committed entries from `from` on, without end: a status first, and something at least once a second. Reads
   * the next update when the previous one was consumed. Throws, after the status, `IndexOutOfRangeError` if the entries
   * are no longer stored, `OtherHistoryError` if the entry before `from` differs here, `CorruptRangeError` if they are
   * damaged. Ends when the signal aborts.
   */
  follow(from: FollowFrom, signal: AbortSignal): AsyncIterable<SourceNews>;
  /** As `Consensus.readBarrier`. */
  readBarrier(signal: AbortSignal): Promise<Offset>;
}

/** Reaches the members from a replica, which calls and is never called. */
export interface ReplicaUplink {
  /**
   * As `ReplicaHandler.follow`, with the checksums verified. A failed or broken connection is `UnavailableError`, data
   * damaged in transit `InvalidInputError`. The caller checks the positions.
   */
  follow(source: Contact, from: FollowFrom, signal: AbortSignal): AsyncIterable<SourceNews>;
  /** As `Consensus.readBarrier`, at any member. */
  readBarrier(source: Contact, signal: AbortSignal): Promise<Offset>;
  /** As `PeerTransport.append`. */
  append(leader: Peer, records: Records, options: ProposeOptions): Promise<AppendReceipt>;
  /** As `PeerTransport.producersOf`. */
  producersOf(leader: Peer): Producers;
  /** Returns the cluster as a member sees it, and its administration at that member. */
  clusterOf(member: Contact): Cluster;
  /** Closes the connections. Idempotent. */
  close(): Promise<void>;
}
