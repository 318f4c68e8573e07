import type { Directory } from '../directory.js';
import type { Index, Offset, Term } from '../offsets.js';
import { invariant } from '../invariant.js';
import { parseBatchHeader, storedBytes, type RecordBatch, type BatchChecksum } from '../record-batch.js';
import { readStoredBatches } from './stored-batches.js';

/** One node's log, not open. */
export interface ComparedLog {
  readonly directory: Directory;
  /** Entries up to this one are committed, as far as the node knew. */
  readonly committedIndex: Index;
}

export interface CompareOptions {
  readonly checksum: BatchChecksum;
  /** Whether two byte sequences are the same; called for each batch. */
  readonly sameBytes: (a: Uint8Array, b: Uint8Array) => boolean;
  /** Called as bytes of the stores, of all logs together, are done with. */
  readonly onProgress?: (bytesDone: number) => void;
}

/** Entries of one index that are committed and not the same. */
export interface LogDifference {
  readonly index: Index;
  /** What each log that has the entry as committed has there; `log` is its place in the list. */
  readonly found: readonly {
    readonly log: number;
    readonly offset: Offset;
    readonly term: Term;
    readonly recordCount: number;
    /** Of the payload. */
    readonly bytes: number;
    /** The batch's own, over header and payload. */
    readonly crc32c: number;
  }[];
}

/** How far one log went along. */
export interface ComparedExtent {
  /** Of the entries that it holds; `firstIndex` is `undefined` when there are none. */
  readonly firstIndex: Index | undefined;
  readonly lastIndex: Index | undefined;
  /** From here on its entries differ from what another log has; they are not committed here. */
  readonly conflictsFrom: Index | undefined;
  /** What ended the comparison of this log: bytes that are not its next batch. */
  readonly stoppedBy: string | undefined;
}

export interface LogComparison {
  /** The entries, by index, that all logs hold as committed; `undefined` when there are none. */
  readonly common: { readonly firstIndex: Index; readonly lastIndex: Index } | undefined;
  /** Of the common entries. */
  readonly batches: number;
  readonly records: number;
  readonly bytes: number;
  /** CRC-32C of the common entries' payloads one after the other. */
  readonly payloadCrc32c: number;
  /** Entries that at least two logs hold as committed, the common ones included. */
  readonly compared: number;
  /** The first one, at which the comparison ends. */
  readonly difference: LogDifference | undefined;
  readonly extents: readonly ComparedExtent[];
}

/**
 * Compares the logs of a cluster's nodes entry by entry, header and payload, whatever segments they lie in. An entry
 * must be the same wherever it is held as committed; what a node holds beyond that may conflict, until Raft overwrites
 * it (§5.3), and is only told. Reads all logs side by side, about 1 MiB of each in memory.
 */
export async function compareLogs(logs: readonly ComparedLog[], options: CompareOptions): Promise<LogComparison> {
  const cursors = logs.map((log) => new Cursor(log, options.checksum));
  try {
    return await compareAll(cursors, options);
  } finally {
    await Promise.all(cursors.map((cursor) => cursor.close()));
  }
}

/** Allocates nothing for an entry: there are millions. */
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

/** Of those at the lowest index, one that has it committed, else the first. */
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

/** One log's next batch. */
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
