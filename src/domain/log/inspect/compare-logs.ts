import type { Directory } from '../directory.js';
import type { Index, Offset, Term } from '../offsets.js';
import { invariant } from '../invariant.js';
import { parseBatchHeader, storedBytes, type RecordBatch, type BatchChecksum } from '../record-batch.js';
import { readStoredBatches } from './stored-batches.js';

/** One node's log, which must not be open. */
export interface ComparedLog {
  readonly directory: Directory;
  /** The highest index that the node knew to be committed. */
  readonly committedIndex: Index;
}

export interface CompareOptions {
  readonly checksum: BatchChecksum;
  /** Returns true if two byte sequences are equal; called for each batch. */
  readonly sameBytes: (a: Uint8Array, b: Uint8Array) => boolean;
  /** Called with the number of store bytes compared so far, in all logs together. */
  readonly onProgress?: (bytesDone: number) => void;
}

/** Committed entries that have the same index but differ. */
export interface LogDifference {
  readonly index: Index;
  /** The entry of each log in which it is committed; `log` is the log's position in the list. */
  readonly found: readonly {
    readonly log: number;
    readonly offset: Offset;
    readonly term: Term;
    readonly recordCount: number;
    /** The size of the payload. */
    readonly bytes: number;
    /** The stored CRC of the batch, over header and payload. */
    readonly crc32c: number;
  }[];
}

/** The range of entries that one log contributed. */
export interface ComparedExtent {
  /** The first index of the log; `undefined` when the log is empty. */
  readonly firstIndex: Index | undefined;
  readonly lastIndex: Index | undefined;
  /** From this index on, its uncommitted entries differ from those of another log. */
  readonly conflictsFrom: Index | undefined;
  /** The fault that ended the comparison of this log: bytes that are not its next batch. */
  readonly stoppedBy: string | undefined;
}

export interface LogComparison {
  /** The entries that are committed in all logs; `undefined` when there are none. */
  readonly common: { readonly firstIndex: Index; readonly lastIndex: Index } | undefined;
  /** The number of common entries. */
  readonly batches: number;
  readonly records: number;
  readonly bytes: number;
  /** The CRC-32C of the common entries' concatenated payloads. */
  readonly payloadCrc32c: number;
  /** The number of entries that are committed in at least two logs, including the common ones. */
  readonly compared: number;
  /** The first difference, which ends the comparison. */
  readonly difference: LogDifference | undefined;
  readonly extents: readonly ComparedExtent[];
}

/**
 * Compares the logs of a cluster's nodes entry by entry, header and payload, whatever their segments. An entry must be
 * equal in all logs in which it is committed; uncommitted entries may conflict until Raft overwrites them (§5.3) and
 * are only reported. Reads all logs in parallel, with about 1 MiB of each in memory.
 */
export async function compareLogs(logs: readonly ComparedLog[], options: CompareOptions): Promise<LogComparison> {
  const cursors = logs.map((log) => new Cursor(log, options.checksum));
  try {
    return await compareAll(cursors, options);
  } finally {
    await Promise.all(cursors.map((cursor) => cursor.close()));
  }
}

/** Allocates nothing per entry, since there may be millions. */
async function compareAll(cursors: readonly Cursor[], options: CompareOptions): Promise<LogComparison> {
  const { checksum, sameBytes, onProgress } = options;
  let common: { firstIndex: Index; lastIndex: Index } | undefined;
  const sums = { batches: 0, records: 0, bytes: 0, payloadCrc32c: 0, compared: 0 };
  let difference: LogDifference | undefined;
  let bytesDone = 0;
  for (;;) {
    for (const cursor of cursors) {
      if (!cursor.mustLoad) continue;
      await cursor.load();
      onProgress?.(bytesDone);
    }
    const reference = chooseReference(cursors);
    const expected = reference?.batch;
    if (!expected) break;
    const { index } = expected;
    let committed = 0;
    let differs = false;
    for (const cursor of cursors) {
      if (cursor.batch?.index !== index) continue;
      if (index <= cursor.committedIndex) committed++;
      if (cursor === reference || cursor.conflictsFrom !== undefined) continue;
      if (sameBytes(cursor.batch.header, expected.header) && sameBytes(cursor.batch.payload, expected.payload))
        continue;
      if (index <= cursor.committedIndex) differs = true;
      else cursor.conflictsFrom = index;
    }
    if (differs) {
      difference = describeDifference(cursors, index);
      break;
    }
    if (committed > 1) sums.compared++;
    if (committed === cursors.length) {
      if (common) common.lastIndex = index;
      else common = { firstIndex: index, lastIndex: index };
      sums.batches++;
      sums.records += expected.recordCount;
      sums.bytes += storedBytes(expected);
      sums.payloadCrc32c = checksum.crc32c(expected.payload, sums.payloadCrc32c) >>> 0;
    }
    for (const cursor of cursors) {
      if (cursor.batch?.index !== index) continue;
      bytesDone += storedBytes(cursor.batch);
      cursor.advance();
    }
  }
  return { common, ...sums, difference, extents: cursors.map((cursor) => cursor.extent) };
}

/** Returns a cursor at the lowest index, preferably one where that entry is committed. */
function chooseReference(cursors: readonly Cursor[]): Cursor | undefined {
  let chosen: Cursor | undefined;
  for (const cursor of cursors) {
    if (!cursor.batch) continue;
    const { index } = cursor.batch;
    const lowest = chosen?.batch?.index ?? Infinity;
    const better = chosen !== undefined && index > chosen.committedIndex && index <= cursor.committedIndex;
    if (index < lowest || (index === lowest && better)) chosen = cursor;
  }
  return chosen;
}

function describeDifference(cursors: readonly Cursor[], index: Index): LogDifference {
  const found = cursors.flatMap(({ batch, committedIndex }, log) =>
    batch?.index === index && index <= committedIndex ? [describe(log, batch)] : [],
  );
  return { index, found };
}

function describe(log: number, batch: RecordBatch): LogDifference['found'][number] {
  const { baseOffset, term, recordCount, payload, header } = batch;
  const parsed = parseBatchHeader(header, 0);
  invariant(typeof parsed !== 'string', 'a batch that was read has its header');
  return { log, offset: baseOffset, term, recordCount, bytes: payload.length, crc32c: parsed.crc };
}

/** A cursor at the next batch of one log. */
class Cursor {
  batch: RecordBatch | undefined;
  conflictsFrom: Index | undefined;
  readonly committedIndex: Index;
  readonly #chunks: AsyncGenerator<readonly RecordBatch[], string | undefined>;
  #chunk: readonly RecordBatch[] = [];
  #next = 0;
  #firstIndex: Index | undefined;
  #lastIndex: Index | undefined;
  #ended = false;
  #stoppedBy: string | undefined;

  constructor({ directory, committedIndex }: ComparedLog, checksum: BatchChecksum) {
    this.committedIndex = committedIndex;
    this.#chunks = readStoredBatches(directory, checksum);
  }

  get mustLoad(): boolean {
    return this.batch === undefined && !this.#ended;
  }

  async load(): Promise<void> {
    const { done, value } = await this.#chunks.next();
    if (done) {
      this.#ended = true;
      this.#stoppedBy = value;
      return;
    }
    this.#chunk = value;
    this.#next = 0;
    this.advance();
    this.#firstIndex ??= value[0].index;
  }

  advance(): void {
    if (this.batch) this.#lastIndex = this.batch.index;
    this.batch = this.#chunk.at(this.#next);
    this.#next++;
  }

  get extent(): ComparedExtent {
    return {
      firstIndex: this.#firstIndex,
      lastIndex: this.#lastIndex,
      conflictsFrom: this.conflictsFrom,
      stoppedBy: this.#stoppedBy,
    };
  }

  async close(): Promise<void> {
    await this.#chunks.return(undefined);
  }
}
