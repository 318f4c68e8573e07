import type { Directory } from './directory.js';
import type { Index, Offset, Term } from './offsets.js';
import { invariant } from './invariant.js';
import { parseBatchHeader, storedBytes, type RecordBatch, type Seal } from './record-batch.js';
import { readStoredBatches } from './stored-batches.js';

/** One node's log, not open. */
export interface ComparedLog {
  readonly directory: Directory;
  /** Entries up to this one are committed, as far as the node knew. */
  readonly committedIndex: Index;
}

export interface CompareOptions {
  readonly seal: Seal;
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
  const cursors = logs.map((log) => new Cursor(log, options.seal));
  try {
    return await compareAll(cursors, options);
  } finally {
    await Promise.all(cursors.map((cursor) => cursor.close()));
  }
}

async function compareAll(cursors: readonly Cursor[], options: CompareOptions): Promise<LogComparison> {
  const { seal, sameBytes, onProgress } = options;
  let common: { firstIndex: Index; lastIndex: Index } | undefined;
  const sums = { batches: 0, records: 0, bytes: 0, payloadCrc32c: 0, compared: 0 };
  let difference: LogDifference | undefined;
  let bytesDone = 0;
  const same = (a: RecordBatch, b: RecordBatch): boolean =>
    sameBytes(a.header, b.header) && sameBytes(a.payload, b.payload);

  for (;;) {
    for (const cursor of cursors) {
      if (!cursor.mustLoad) continue;
      await cursor.load();
      onProgress?.(bytesDone);
    }
    const index = Math.min(...cursors.map(({ batch }) => batch?.index ?? Infinity)) as Index;
    if (index === Infinity) break;
    const holders = cursors.filter(({ batch }) => batch?.index === index);
    const committed = holders.filter(({ committedIndex }) => index <= committedIndex);
    const [reference] = committed.length > 0 ? committed : holders;
    const expected = reference.batch!;
    const others = holders.filter(
      (holder) => holder !== reference && holder.conflictsFrom === undefined && !same(holder.batch!, expected),
    );
    if (others.some((other) => committed.includes(other))) {
      difference = { index, found: committed.map((cursor) => describe(cursors.indexOf(cursor), cursor.batch!)) };
      break;
    }
    for (const other of others) other.conflictsFrom = index;
    if (committed.length > 1) sums.compared++;
    if (committed.length === cursors.length) {
      common = { firstIndex: common?.firstIndex ?? index, lastIndex: index };
      sums.batches++;
      sums.records += expected.recordCount;
      sums.bytes += storedBytes(expected);
      sums.payloadCrc32c = seal.crc32c(expected.payload, sums.payloadCrc32c) >>> 0;
    }
    for (const holder of holders) {
      bytesDone += storedBytes(holder.batch!);
      holder.advance();
    }
  }
  return { common, ...sums, difference, extents: cursors.map((cursor) => cursor.extent) };
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

  constructor({ directory, committedIndex }: ComparedLog, seal: Seal) {
    this.committedIndex = committedIndex;
    this.#chunks = readStoredBatches(directory, seal);
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
