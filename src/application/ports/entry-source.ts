import type { RecordBatch } from '../../domain/log/record-batch.js';
import type { Peer } from './peer-transport.js';

/** How far a member's log goes, by its own word. */
export interface LogEnd {
  readonly term: number;
  /** Whether it leads in that term. */
  readonly leads: boolean;
  /** The first entry that it keeps. */
  readonly startIndex: number;
  /** The last entry that is committed, durable and applied there. */
  readonly commitIndex: number;
  /** The last entry of its log, committed or not. */
  readonly lastIndex: number;
}

/** The logs of the other members, for one that repairs its own. Whatever keeps an answer away is `UnavailableError`. */
export interface EntrySource {
  /** `term` is the latest that the caller has seen: a leader of an earlier one gives up, as Raft §5.1 has it. */
  logEnd(peer: Peer, term: number, signal: AbortSignal): Promise<LogEnd>;
  /**
   * Committed entries from `from` up to `until` (exclusive), in order, about 1 MiB at a time; ends when all have come.
   * Checksums are verified, and that they are of this log; places are the caller's to check.
   */
  read(peer: Peer, from: number, until: number, signal: AbortSignal): AsyncIterable<readonly RecordBatch[]>;
}

/** Who answers such a member. */
export interface EntryHandler {
  /** To the member with the Raft id `from`. */
  logEnd(from: number, term: number): LogEnd;
  /**
   * As `EntrySource.read`. Throws `IndexOutOfRangeError` below its log start, `UnavailableError` beyond what it has
   * applied, `CorruptRangeError` where it is damaged itself.
   */
  read(from: number, until: number): AsyncIterable<readonly RecordBatch[]>;
}
