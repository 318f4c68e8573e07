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
  /** Set if the batch was in the log already: offset, term and index are those of the first time, `syncedOn` is empty. */
  readonly isDuplicate?: true;
}

export interface ProducerOpening {
  /** Empty for an ephemeral producer: the leader makes an id. */
  readonly id: string;
  /** Must be higher than the last epoch of the id; undefined: one more than that. */
  readonly epoch?: number;
  /** Whether the id is forgotten after 15 minutes without a batch. */
  readonly isEphemeral: boolean;
}

export interface OpenedProducer {
  readonly id: string;
  readonly epoch: number;
  /** The last batch that is known of the id, from before this epoch; undefined: none. */
  readonly last?: { readonly sequence: number; readonly baseOffset: Offset };
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

/** Opens and closes producers. */
export interface Producers {
  /**
   * Begins an epoch of a producer id. Resolves once that is on the disks of a quorum. Rejects as `propose`, with
   * `ProducerFencedError` for an epoch that is not higher than the last one, with `ProducersMaxError`, and with
   * `InvalidInputError` if there is no higher epoch.
   */
  openProducer(opening: ProducerOpening): Promise<OpenedProducer>;
  /** Forgets a producer id. Resolves once that is on the disks of a quorum, also for an unknown id. Rejects as `openProducer`. */
  closeProducer(id: string, epoch: number): Promise<void>;
}

/** Agreement on the one order of the log. */
export interface Consensus extends Producers {
  /**
   * Appends the records as one batch. Resolves once the batch is on the disks of a quorum, to which this node need not
   * belong. Calls resolve in the order
   * in which they were made. Rejects with `UnavailableError` (retryable), `OutcomeUnknownError`, `OverloadedError`,
   * `DiskReserveError`, `ExpectedOffsetMismatchError`, `CorruptRangeError`; with a producer also with
   * `FeatureNotEnabledError` and those of `producer-errors.ts`.
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
