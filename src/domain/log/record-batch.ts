import type { EpochMs, Index, Offset, Term } from './offsets.js';

/** What a batch carries. Control kinds take an index but no offset (`recordCount` 0). */
export const BatchKind = { records: 0, noop: 1, configuration: 2 } as const;
export type BatchKind = (typeof BatchKind)[keyof typeof BatchKind];

/**
 * Checked records that have no place in a log yet. `payload` is a run of length-delimited protobuf fields, tag 0x22
 * (field 4 of `golog.v1.RecordBatch`), one per record, with the server's fields absent: what goes to disk, to the
 * followers and to the readers as it is. The buffer is handed over: its giver must not touch it again.
 */
export interface Records {
  readonly payload: Uint8Array;
  readonly count: number;
}

/** A batch with its place in the log: the unit of replication, durability and transfer, and one Raft entry. */
export interface RecordBatch {
  readonly kind: BatchKind;
  readonly index: Index;
  readonly term: Term;
  /** Offset of the first record; for a control batch the offset that the next record will get. */
  readonly baseOffset: Offset;
  readonly recordCount: number;
  readonly appendTimeMs: EpochMs;
  /** The sealed header, CRC included, as stored. */
  readonly header: Uint8Array;
  readonly payload: Uint8Array;
}
