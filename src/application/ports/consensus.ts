import type { Index, Offset, Term } from '../../domain/log/offsets.js';
import type { Producer } from '../../domain/log/batch-prefix.js';
import type { Records } from '../../domain/log/record-batch.js';

/** The evidence for an acknowledgement. */
export interface AppendReceipt {
  readonly baseOffset: Offset;
  readonly recordCount: number;
  readonly term: Term;
  readonly index: Index;
  /** Names of the nodes known to hold the batch on disk. */
  readonly syncedOn: readonly string[];
  /** The producer had appended this batch before: everything else is of that time, and `syncedOn` is empty. */
  readonly duplicate?: boolean;
}

/** There is no signal among them: an accepted append cannot be withdrawn, and it is accepted almost at once. */
export interface ProposeOptions {
  /** Append only at this base offset, else `ExpectedOffsetMismatchError`. */
  readonly expectedOffset?: Offset;
  /**
   * Append only as the next batch of this producer; a repeat of one that is in the log is answered with its receipt, and
   * `expectedOffset` is not checked. Rejects with a `ProducerRefusal`, or with `FeatureNotEnabledError`.
   */
  readonly producer?: Producer;
}

export interface Server {
  readonly id: string;
  readonly rpcAddr: string;
  readonly isLeader: boolean;
}

/** Agreement on the one order of the log. */
export interface Consensus {
  /**
   * Appends the records as one batch. Resolves once the batch is on the disks of a quorum, to which this node need not
   * belong. Calls resolve in the order
   * in which they were made. Rejects with `UnavailableError` (retryable), `OutcomeUnknownError`, `OverloadedError`,
   * `DiskReserveError`, `ExpectedOffsetMismatchError`, `CorruptRangeError`.
   */
  propose(records: Records, options?: ProposeOptions): Promise<AppendReceipt>;
  /** One past the last committed record; never decreases. */
  readonly highWatermark: Offset;
  /** Resolves once `highWatermark > offset`; rejects with the signal's reason on abort. Costs nothing while waiting. */
  waitForWatermark(offset: Offset, signal: AbortSignal): Promise<void>;
  /**
   * Returns one past the last record of the appends that this node acknowledged as the leader. Waits for the watermark to
   * get there, which takes one sync; no longer while the disk hangs. Does not reject.
   */
  acknowledgedEnd(signal: AbortSignal): Promise<Offset>;
  /** Returns a watermark that covers every append acknowledged, on any node, before the call (Raft thesis §6.4). */
  readBarrier(signal: AbortSignal): Promise<Offset>;
  /**
   * Resolves when the watermark covers everything that this node ever showed: a node that has just started learns what
   * is committed only from a leader. Rejects as `readBarrier`.
   */
  recovered(signal: AbortSignal): Promise<void>;
  /** The members of the cluster. */
  servers(): readonly Server[];
  /**
   * Transfers leadership to another node, if there is one. Called before the listeners close, since it exchanges
   * messages.
   */
  giveUpLeadership(): Promise<void>;
  /** Accepts no new proposals, lets the accepted ones end, and leaves everything durable. */
  close(): Promise<void>;
}

export const Consensus = Symbol('Consensus');
