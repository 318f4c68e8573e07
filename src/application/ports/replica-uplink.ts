import type { Index, Offset, Term } from '../../domain/log/offsets.js';
import type { LogBoundary } from '../../domain/log/log-boundary.js';
import type { RecordBatch, Records } from '../../domain/log/record-batch.js';
import type { Cluster } from './cluster.js';
import type { Member } from '../configuration/configuration.js';
import type { Peer } from './peer-transport.js';
import type { AppendReceipt, ProposeOptions } from './consensus.js';

/** Where a member may answer. */
export interface Contact {
  /** Its `--node-name`, where it is known: what answers is to be that node. */
  readonly name?: string;
  /** HOST:PORT of its gRPC. */
  readonly rpcAddr: string;
}

/** What a member tells a replica of itself and of its cluster. */
export interface SourceStatus {
  /** The log id: 16 bytes. */
  readonly clusterId: Uint8Array;
  /** Where its log begins: below that it keeps nothing. */
  readonly start: LogBoundary;
  /** Its own Raft id. */
  readonly id: number;
  /** 0: it knows of no leader. */
  readonly leaderId: number;
  readonly members: readonly Member[];
  /** Ids of the members that do not vote. */
  readonly learners: readonly number[];
}

/** What a source sends: entries, or, where there are none, a sign of life. */
export interface SourceNews {
  /** In order and without gaps; committed, and durable at the source. */
  readonly batches: readonly RecordBatch[];
  /** The source's own, at least as far as the batches go. */
  readonly highWatermark: Offset;
  /** Comes first, and again when it has changed. */
  readonly status?: SourceStatus;
}

/** The entry that a replica asks for first, and the term of the one before it: 0 where it has none. */
export interface FollowFrom {
  readonly index: Index;
  readonly term: Term;
}

/** The log of a replica and that of a source differ in an entry that both have. */
export class OtherHistoryError extends Error {
  override readonly name = 'OtherHistoryError';
}

/** Who answers replicas at a member. */
export interface ReplicaHandler {
  /**
   * Committed entries from `from` on, without end; something at least once a second, and a status first of all. The next
   * is read when the one before was taken. Throws, after the status, `IndexOutOfRangeError` where the entries are not
   * kept any more, `OtherHistoryError` where the entry before is another one here, `CorruptRangeError` where they are
   * damaged. Ends when the signal aborts.
   */
  follow(from: FollowFrom, signal: AbortSignal): AsyncIterable<SourceNews>;
  /** As `Consensus.readBarrier`. */
  readBarrier(signal: AbortSignal): Promise<Offset>;
}

/** The members, as a replica reaches them: it calls, and is never called. */
export interface ReplicaUplink {
  /**
   * As `ReplicaHandler.follow`, with the checksums verified; whatever keeps it away or breaks it off is
   * `UnavailableError`, damage on the way `InvalidInputError`. Places are the caller's to check.
   */
  follow(source: Contact, from: FollowFrom, signal: AbortSignal): AsyncIterable<SourceNews>;
  /** As `Consensus.readBarrier`, at any member. */
  readBarrier(source: Contact, signal: AbortSignal): Promise<Offset>;
  /** As `PeerTransport.append`. */
  append(leader: Peer, records: Records, options: ProposeOptions): Promise<AppendReceipt>;
  /** The cluster as a member sees it, and its administration there. */
  clusterOf(member: Contact): Cluster;
  /** Closes the connections. Idempotent. */
  close(): Promise<void>;
}
