import type { RecordBatch } from '../../domain/log/record-batch.js';
import type { Peer } from './peer-transport.js';

/** The extent of a member's log, as the member reports it. */
export interface LogEnd {
  readonly term: number;
  /** Whether the member leads in that term. */
  readonly leads: boolean;
  /** The first entry that it stores. */
  readonly startIndex: number;
  /** The last entry that is committed, durable and applied at the member. */
  readonly commitIndex: number;
  /** The last entry of its log, committed or not. */
  readonly lastIndex: number;
}

/**
 * Reads the logs of the other members, for a member that repairs its own. If no answer arrives, rejects with
 * `UnavailableError`.
 */
export interface EntrySource {
  /** `term` is the latest term that the caller has seen: a leader of an earlier term steps down (Raft §5.1). */
  logEnd(peer: Peer, term: number, signal: AbortSignal): Promise<LogEnd>;
  /**
   * Yields committed entries from `from` up to `until` (exclusive), in order, about 1 MiB at a time; ends when all have
   * arrived. The batches' checksums and log id are verified; the caller checks their positions.
   */
  read(peer: Peer, from: number, until: number, signal: AbortSignal): AsyncIterable<readonly RecordBatch[]>;
}

/** Answers members that repair their logs. */
export interface EntryHandler {
  /** Answers the member with the Raft id `from`. */
  logEnd(from: number, term: number): LogEnd;
  /**
   * As `EntrySource.read`. Throws `IndexOutOfRangeError` below its log start, `UnavailableError` past its last applied
   * entry, `CorruptRangeError` if the range is damaged here too.
   */
  read(from: number, until: number): AsyncIterable<readonly RecordBatch[]>;
}
