import { readRun } from './batch-run.js';
import { type Directory, type File, FileNotFoundError, UnreadableError } from './directory.js';
import { CorruptRangeError, IndexOutOfRangeError, LogClosedError, OffsetOutOfRangeError } from './errors.js';
import { IndexCache } from './index-cache.js';
import { readIndexFile } from './index-file.js';
import { invariant } from './invariant.js';
import type { LogSettings } from './log-options.js';
import type { EpochMs, Index, Offset, Position, Term } from './offsets.js';
import { toEpochMs } from './offsets.js';
import { OpenStores } from './open-stores.js';
import { boundaryAfter, sameBoundary, type LogBoundary } from './log-boundary.js';
import { BatchKind, batchHeaderBytes, parseBatchHeader, storedBytes, type RecordBatch } from './record-batch.js';
import { Segment } from './segment.js';
import type { SegmentList } from './segment-list.js';
import type { SparseIndex } from './sparse-index.js';
import { firstBatchPosition, readHeader, readStoreHeader, sameBytes } from './store-header.js';
import { describeFault, scanStore } from './store-scan.js';

/** The approximate limit of one read from disk, whatever the caller asks for. */
const readBytesMax = 8 << 20;

/** A store does not contain the batch that was expected. */
class ReadFault {
  constructor(
    readonly segment: Segment,
    readonly at: Pick<LogBoundary, 'offset' | 'index'>,
    readonly reason: string,
  ) {}
}

/** A range of a store that is lost. */
interface LostRange {
  readonly from: LogBoundary;
  /** Undefined: up to the end of the store. */
  readonly to: LogBoundary | undefined;
  readonly reason: string;
}

/** A store cannot be read at all. */
class LostStore {
  constructor(readonly reason: string) {}
}

/** The point where a suffix truncation cuts a segment, and the state that the segment needs to become active again. */
interface Cut {
  readonly position: Position;
  readonly end: LogBoundary;
  readonly maxTimeMs: EpochMs;
  readonly index: SparseIndex;
  readonly firstTimeMs: EpochMs | undefined;
}

/**
 * The read side of a log. Reads run concurrently with the writer: each one looks up its segment, reads, and starts over
 * if the log was truncated in the meantime. Damaged bytes are never returned: the reader scans the segment, quarantines
 * the damage, and retries the read.
 */
export class LogReader {
  readonly stores: OpenStores;
  readonly indexes: IndexCache;
  readonly #diagnoses = new Map<Segment, Promise<void>>();
  #closed = false;

  constructor(
    directory: Directory,
    private readonly settings: LogSettings,
    private readonly list: SegmentList,
  ) {
    this.stores = new OpenStores(directory, settings.openStoresMax);
    this.indexes = new IndexCache(settings.indexCacheBytesMax, (segment) => this.#loadIndex(directory, segment));
  }

  readRecords(from: Offset, until: Offset, bytesMax: number): Promise<RecordBatch[]> {
    return this.#consistently(() => this.#readRecords(from, until, bytesMax));
  }

  async #readRecords(from: Offset, until: Offset, bytesMax: number): Promise<RecordBatch[] | ReadFault> {
    const { start, end } = this.list;
    if (from >= start.offset && from <= end.offset && from >= until) return [];
    this.list.quarantine.assertOffsetReadable(from);
    if (from < start.offset || from > end.offset) throw new OffsetOutOfRangeError(from, start.offset, end.offset);
    if (from === end.offset) return [];
    const segment = this.list.ofOffset(from);
    const index = await this.#indexOf(segment);
    const batches: RecordBatch[] = [];
    let bytes = 0;
    const fault = await this.#run(segment, index, index.floorOffset(from), bytesMax, (batch) => {
      if (batch.baseOffset >= until) return false;
      if (batch.kind !== BatchKind.records || batch.baseOffset + batch.recordCount <= from) return true;
      bytes += storedBytes(batch);
      if (batches.length > 0 && bytes > bytesMax) return false;
      batches.push(batch);
      return true;
    });
    if (batches.length > 0 && batches[0].baseOffset <= from) return batches;
    return new ReadFault(
      segment,
      { offset: from, index: segment.base.index },
      fault ?? 'not at the position in the index',
    );
  }

  readEntries(from: Index, until: Index, bytesMax: number): Promise<RecordBatch[]> {
    return this.#consistently(() => this.#readEntries(from, until, bytesMax));
  }

  async #readEntries(from: Index, until: Index, bytesMax: number): Promise<RecordBatch[] | ReadFault> {
    const { start, end, lastIndex } = this.list;
    if (from < start.index || from > end.index) throw new IndexOutOfRangeError(from, start.index, lastIndex);
    if (from >= Math.min(until, end.index)) return [];
    this.list.quarantine.assertIndexReadable(from);
    const segment = this.list.ofIndex(from);
    const index = await this.#indexOf(segment);
    const batches: RecordBatch[] = [];
    let bytes = 0;
    const fault = await this.#run(segment, index, index.floorIndex(from), bytesMax, (batch) => {
      if (batch.index >= until) return false;
      if (batch.index < from) return true;
      bytes += storedBytes(batch);
      if (batches.length > 0 && bytes > bytesMax) return false;
      batches.push(batch);
      return true;
    });
    if (batches.length > 0 && batches[0].index === from) return batches;
    return new ReadFault(
      segment,
      { offset: segment.base.offset, index: from },
      fault ?? 'not at the position in the index',
    );
  }

  async termAt(index: Index): Promise<Term> {
    const { start, end, lastIndex } = this.list;
    if (index === start.index - 1) return start.term;
    if (index === lastIndex) return end.term;
    if (index < start.index || index > lastIndex) throw new IndexOutOfRangeError(index, start.index, lastIndex);
    this.list.quarantine.assertIndexReadable(index);
    const segment = this.list.ofIndex(index);
    // Terms never decrease.
    if (segment.base.term === segment.end.term) return segment.base.term;
    const [batch] = await this.readEntries(index, (index + 1) as Index, 1);
    return batch.term;
  }

  offsetSince(time: EpochMs): Promise<Offset> {
    return this.#consistently(() => this.#offsetSince(time));
  }

  async #offsetSince(time: EpochMs): Promise<Offset> {
    const segment = this.list.segments.find(({ maxTimeMs }) => maxTimeMs >= time);
    if (!segment) return this.list.end.offset;
    const index = await this.#indexOf(segment);
    const before = index.floorTime(time);
    if (before < 0) return segment.base.offset;
    let found: Offset = index.entry(before).offset;
    // Reads at least up to the next index entry. If bytes are damaged, the first offset in them is the answer.
    const fault = await this.#run(segment, index, before, 1, (batch) => {
      found = batch.baseOffset;
      if (batch.kind === BatchKind.records && batch.appendTimeMs >= time) return false;
      found = boundaryAfter(batch).offset;
      return true;
    });
    invariant(fault !== undefined || found <= segment.end.offset, 'a batch of the segment lies in the segment');
    return found;
  }

  /** Locates the cut before entry `from` of the segment, whose entry `from - 1`, if it has one, must be readable. */
  async locateCut(segment: Segment, from: Index): Promise<Cut> {
    const { base, end, length, maxTimeMs, unreadable } = segment;
    const index = unreadable ? Segment.empty(base, 1).index! : await this.#indexOf(segment);
    const firstTimeMs = unreadable ? undefined : await this.#firstTimeMs(segment);
    if (from <= base.index)
      return { position: firstBatchPosition, end: base, maxTimeMs: toEpochMs(0), index, firstTimeMs: undefined };
    if (from === end.index) return { position: length, end, maxTimeMs, index, firstTimeMs };
    return this.#consistently(async () => {
      const last = (from - 1) as Index;
      const number = index.floorIndex(last);
      let cut: Cut | undefined;
      let time = number < 0 ? 0 : index.entry(number).maxTimeMs;
      const fault = await this.#run(segment, index, number, 1, (batch, position) => {
        if (batch.kind === BatchKind.records) time = toEpochMs(Math.max(time, batch.appendTimeMs));
        if (batch.index < last) return true;
        const after = (position + storedBytes(batch)) as Position;
        cut = { position: after, end: boundaryAfter(batch), maxTimeMs: toEpochMs(time), index, firstTimeMs };
        return false;
      });
      return (
        cut ?? new ReadFault(segment, { offset: base.offset, index: last }, fault ?? 'not at the position in the index')
      );
    });
  }

  async #firstTimeMs(segment: Segment): Promise<EpochMs | undefined> {
    const read = await this.#use(segment, (file) => file.read(firstBatchPosition, batchHeaderBytes));
    const header = read instanceof LostStore ? undefined : parseBatchHeader(read, 0);
    if (header === undefined) return undefined;
    return typeof header === 'string' ? undefined : header.appendTimeMs;
  }

  /** See `Log.scrub`. */
  async scrub(from: Index, pace: (bytes: number) => Promise<void>): Promise<Index | undefined> {
    const { list } = this;
    const segment = list.segments.find((each) => each !== list.active && !each.unreadable && each.end.index > from);
    if (segment === undefined) return undefined;
    const next = list.segments[list.segments.indexOf(segment) + 1].base.index;
    await this.#lookInto(segment, pace);
    return next;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.stores.close();
  }

  /** Repeats a read until the log was not truncated during it; scans the segment when the read found damage. */
  async #consistently<T>(read: () => Promise<T | ReadFault>): Promise<T> {
    for (let faults = 0; ;) {
      if (this.#closed) throw new LogClosedError();
      const { cuts, drops } = this.list;
      let result: T | ReadFault;
      try {
        result = await read();
      } catch (error) {
        if (cuts === this.list.cuts && drops === this.list.drops && !this.#closed) throw error;
        continue;
      }
      if (cuts !== this.list.cuts) continue;
      if (!(result instanceof ReadFault)) return result;
      if (drops !== this.list.drops) continue;
      const { segment, at, reason } = result;
      if (++faults > 2) throw new CorruptRangeError(at.offset, segment.end.offset, reason);
      await this.#diagnose(segment);
    }
  }

  async #run(
    segment: Segment,
    index: SparseIndex,
    entryNumber: number,
    bytesMax: number,
    visit: (batch: RecordBatch, position: Position) => boolean,
  ): Promise<string | undefined> {
    const range = { bytesMax: Math.min(bytesMax, readBytesMax), end: segment.length };
    const run = await this.#use(segment, (file) =>
      readRun(file, index, entryNumber, range, this.settings.checksum, visit),
    );
    return run instanceof LostStore ? run.reason : run;
  }

  /** Runs a task on a store that may be gone, or that the disk may not be able to read. */
  async #use<T>({ storeName }: Segment, task: (file: File) => Promise<T>): Promise<T | LostStore> {
    try {
      return await this.stores.use(storeName, task);
    } catch (error) {
      if (error instanceof UnreadableError) return new LostStore('unreadable');
      if (error instanceof FileNotFoundError) return new LostStore('missing');
      throw error;
    }
  }

  #indexOf(segment: Segment): SparseIndex | Promise<SparseIndex> {
    return segment.index ?? this.indexes.get(segment);
  }

  async #loadIndex(directory: Directory, segment: Segment): Promise<SparseIndex> {
    const { indexIntervalBytes, checksum } = this.settings;
    const found = await readIndexFile(directory, segment.indexName, indexIntervalBytes, checksum);
    const fits =
      typeof found !== 'string' &&
      found.sealed.storeLength === segment.length &&
      sameBoundary(found.sealed.base, segment.base) &&
      sameBoundary(found.sealed.end, segment.end);
    if (fits) return found.index;
    const rebuilt = await this.#rebuild(segment);
    const reason = typeof found === 'string' ? found : 'does not fit the store';
    this.settings.onNotice({ kind: 'index rebuilt', fileName: segment.indexName, reason });
    return rebuilt.index;
  }

  /** Runs at most one scan of each segment at a time. */
  #diagnose(segment: Segment): Promise<void> {
    let diagnosis = this.#diagnoses.get(segment);
    if (!diagnosis) {
      diagnosis = this.#lookInto(segment).finally(() => this.#diagnoses.delete(segment));
      this.#diagnoses.set(segment, diagnosis);
    }
    return diagnosis;
  }

  /**
   * Scans the segment, quarantines its damaged ranges, and rebuilds its index from the good batches. With `pace`, on
   * nobody's behalf: what is not damaged leaves no trace in memory.
   */
  async #lookInto(segment: Segment, pace?: (bytes: number) => Promise<void>): Promise<void> {
    const { cuts } = this.list;
    const { length, end } = segment;
    const { index, faults, hasBadHeader } = await this.#rebuild(segment, pace);
    if (this.#closed || cuts !== this.list.cuts || !this.list.segments.includes(segment)) return;
    if (hasBadHeader && !segment.hasBadHeader) {
      segment.hasBadHeader = true;
      this.settings.onNotice({ kind: 'header damaged', fileName: segment.storeName });
    }
    if (pace && faults.length === 0) return;
    if (segment.index) {
      index.adopt(segment.index, length);
      segment.index = index;
    } else if (segment.length !== length) return;
    else if (faults.length > 0) segment.index = index;
    else this.indexes.put(segment, index);
    for (const { from, to = end, reason } of faults) {
      const bounds = { from: from.offset, to: to.offset, fromIndex: from.index, toIndex: to.index };
      const range = { ...bounds, reason };
      if (this.list.quarantine.add(range))
        this.settings.onNotice({ kind: 'damage found by a read', fileName: segment.storeName, ...range });
    }
  }

  /** Scans the store, as fast as `pace` lets it, and returns an index of its good batches. */
  async #rebuild(
    segment: Segment,
    pace?: (bytes: number) => Promise<void>,
  ): Promise<{ index: SparseIndex; faults: readonly LostRange[]; hasBadHeader: boolean }> {
    const { base, length, storeName } = segment;
    const { indexIntervalBytes, checksum } = this.settings;
    const rebuilt = Segment.empty(base, indexIntervalBytes);
    const range = { from: firstBatchPosition, length, boundary: base };
    let hasBadHeader = false;
    const scan = await this.#use(segment, async (file) => {
      const found = readStoreHeader(await readHeader(file), storeName, checksum.crc32c);
      hasBadHeader = !found || !sameBoundary(found.boundary, base) || !sameBytes(found.logId, checksum.logId);
      return scanStore(pace ? paced(file, pace) : file, range, checksum, (header, position, afterFault) =>
        rebuilt.extend(header, position, batchHeaderBytes + header.payloadLength, afterFault),
      );
    });
    invariant(rebuilt.index !== undefined, 'a new segment has its index');
    if (scan instanceof LostStore)
      return {
        index: rebuilt.index,
        faults: [{ from: base, to: undefined, reason: `${storeName} is ${scan.reason}` }],
        hasBadHeader,
      };
    const faults = scan.faults.map((fault) => ({ ...fault, reason: describeFault(fault) }));
    return { index: rebuilt.index, faults, hasBadHeader };
  }
}

/** Reads of the file wait until `pace` resolves. */
function paced(file: File, pace: (bytes: number) => Promise<void>): Pick<File, 'read'> {
  return {
    async read(position, length) {
      await pace(length);
      return file.read(position, length);
    },
  };
}
