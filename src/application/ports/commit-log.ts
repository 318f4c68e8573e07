import type { EpochMs, Offset } from '../../domain/log/offsets.js';
import type { RecordBatch, Records } from '../../domain/log/record-batch.js';
import type { ReadMemory } from './read-memory.js';
import type { AppendReceipt, OpenedProducer, ProducerOpening, ProposeOptions, Server } from './consensus.js';

/** Where a read starts: an offset, the first record appended at or after a time, an end of the log, or the last N. */
export type ReadFrom =
  { readonly offset: Offset } | { readonly since: EpochMs } | { readonly last: number } | 'earliest' | 'latest';

export interface ReadOptions {
  readonly signal: AbortSignal;
  /** Most records in one result; without it only `maxBytes` limits the result. */
  readonly maxRecords?: number;
  /** Most payload bytes in one result (default 1 MiB); a larger first record is returned anyway. */
  readonly maxBytes?: number;
  readonly linearizable?: boolean;
  /** Wait until this offset is readable here, or until the signal aborts. */
  readonly notBeforeOffset?: Offset;
  /**
   * Counts what is read, and has the read wait until it may begin: what `read` answers until the memory is closed,
   * a result of `follow` until the next is asked for. Without it nothing is counted.
   */
  readonly memory?: ReadMemory | undefined;
}

export interface ReadResult {
  /**
   * Record batches only, in order and without gaps, cut to begin at the offset asked for: a cut batch has its
   * `baseOffset`, `recordCount` and `payload` adjusted and its `header` no longer fits.
   */
  readonly batches: readonly RecordBatch[];
  readonly logStartOffset: Offset;
  readonly highWatermark: Offset;
}

export interface LogInfo {
  readonly logStartOffset: Offset;
  readonly highWatermark: Offset;
  readonly logEndOffset: Offset;
  readonly bytes: number;
  readonly segments: number;
}

/** The service that the transports offer: the inbound port of the application. */
export interface CommitLog {
  /** See `Consensus.propose`. */
  append(records: Records, options?: ProposeOptions): Promise<AppendReceipt>;
  /** See `Consensus.openProducer`. */
  openProducer(opening: ProducerOpening): Promise<OpenedProducer>;
  /** See `Consensus.closeProducer`. */
  closeProducer(id: string, epoch: number): Promise<void>;
  /**
   * Returns committed batches from a position on; none at the high watermark. Rejects with `OffsetOutOfRangeError`
   * below the log start or above the watermark, `CorruptRangeError` when the range is quarantined.
   */
  read(from: ReadFrom, options: ReadOptions): Promise<ReadResult>;
  /**
   * Reads repeatedly, waiting at the log's end for the watermark to move; results are never empty. Ends by throwing the
   * signal's reason. The generator provides back-pressure, except for one result that is read ahead. The more callers
   * follow, the smaller each result, so that many readers hold no more memory than a few.
   */
  follow(from: ReadFrom, options: ReadOptions): AsyncGenerator<ReadResult, never, void>;
  /**
   * Returns the state of the log at this node. Its watermark never decreases, not even across restarts: a node that has
   * just started waits until it has heard from a leader. Rejects as `Consensus.recovered`.
   */
  info(signal: AbortSignal): Promise<LogInfo>;
  /** Returns what the node knows right now: after a restart the watermark may be lower than one shown before. */
  infoNow(): LogInfo;
  servers(): readonly Server[];
}

export const CommitLog = Symbol('CommitLog');
