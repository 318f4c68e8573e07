import type { EpochMs, Offset } from '../../domain/log/offsets.js';
import type { RecordBatch, Records } from '../../domain/log/record-batch.js';
import type { ReadMemory } from './read-memory.js';
import type { AppendReceipt, ProposeOptions, Server } from './consensus.js';

/** Where a read starts: an offset, the first record appended at or after a time, an end of the log, or the last N. */
export type ReadFrom =
  { readonly offset: Offset } | { readonly since: EpochMs } | { readonly last: number } | 'earliest' | 'latest';

export interface ReadOptions {
  readonly signal: AbortSignal;
  /** Most records in one result; without it no limit but `maxBytes`. */
  readonly maxRecords?: number;
  /** Most payload bytes in one result (default 1 MiB); a first record larger than this comes all the same. */
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

/** What the transports serve: the inbound port of the application. */
export interface CommitLog {
  /** See `Consensus.propose`. */
  append(records: Records, options?: ProposeOptions): Promise<AppendReceipt>;
  /**
   * Committed batches from a place on. At the high watermark: no batches. Rejects with `OffsetOutOfRangeError` below
   * the log start or beyond the watermark, `CorruptRangeError` when the range is quarantined.
   */
  read(from: ReadFrom, options: ReadOptions): Promise<ReadResult>;
  /**
   * `read`, again and again, waiting at the log's end for the watermark to move; results are never empty. Ends by
   * throwing the signal's reason. Back-pressure is the generator's own, but for one result that is read ahead. Results
   * are smaller the more callers follow, so that many readers hold no more than a few.
   */
  follow(from: ReadFrom, options: ReadOptions): AsyncGenerator<ReadResult, never, void>;
  /**
   * How the log stands at this node. Its watermark never goes back, restarts included: a node that has just started waits
   * until it has heard from a leader. Rejects as `Consensus.recovered`.
   */
  info(signal: AbortSignal): Promise<LogInfo>;
  /** What the node knows at this moment: after a restart the watermark may be behind what was shown before. */
  infoNow(): LogInfo;
  servers(): readonly Server[];
}

export const CommitLog = Symbol('CommitLog');
