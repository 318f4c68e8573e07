import { isNoSpaceError, type Directory, type File } from './directory.js';
import { removeIfThere, writeDurably } from './durable-file.js';
import { LogClosedError, LogFailedError } from './errors.js';
import { encodeIndexFile } from './index-file.js';
import { invariant } from './invariant.js';
import { LogReader } from './log-reader.js';
import { openLog, type OpenedLog } from './log-opening.js';
import { logSettings, type LogOptions, type LogSettings } from './log-options.js';
import { spareLogStart, writeLogStart } from './log-start.js';
import type { EpochMs, Index, Offset, Term } from './offsets.js';
import { follows, boundaryAfter, type LogBoundary } from './log-boundary.js';
import { storedBytes, type RecordBatch } from './record-batch.js';
import type { Quarantine, RecoveryReport } from './recovery.js';
import { Segment } from './segment.js';
import type { Retention } from './retention.js';
import { SegmentList } from './segment-list.js';
import { SyncedIndexFile } from './synced-index.js';

export type { LogOptions } from './log-options.js';

export interface RetentionPolicy extends Retention {
  readonly now: EpochMs;
  /** Drop no entry at or beyond this index: it may not be committed. Its offset says nothing: some hold no record. */
  readonly upTo: Index;
}

/**
 * The log: segments in order, of which the last one grows.
 *
 * One writer calls `append`, `sync`, `truncatePrefix`, `truncateSuffix`, `reset`, `retain` and `close`, each after the
 * one before it settled; reads go on at any time beside them. After a write or sync failed, all of those but `close` reject
 * with `LogFailedError`, and the process should end.
 */
export class Log {
  readonly recovery: RecoveryReport;
  readonly #list: SegmentList;
  readonly #reader: LogReader;
  #activeFile: File;
  readonly #synced: SyncedIndexFile;
  /** Something was written to the active store since its last sync. */
  #unsynced = false;
  #operation: string | undefined;
  #failure: LogFailedError | undefined;
  #closed = false;

  private constructor(
    private readonly directory: Directory,
    private readonly settings: LogSettings,
    opened: OpenedLog,
    synced: SyncedIndexFile,
  ) {
    this.#synced = synced;
    this.recovery = opened.recovery;
    this.#activeFile = opened.activeFile;
    this.#list = new SegmentList(opened.start, opened.segments, opened.quarantine);
    this.#reader = new LogReader(directory, settings, this.#list);
    this.#reader.stores.adopt(this.#list.active.storeName, this.#activeFile);
  }

  /**
   * Opens the log in `directory`, an empty one when there is nothing. Recovers by the table in recovery.ts; what was
   * found and done is in `recovery`. When it resolves, all that the log holds is durable. Rejects with
   * `ForeignLogError`, `UnsupportedFormatError`, `MissingLogError`, or the directory's error.
   */
  static async open(directory: Directory, options: LogOptions): Promise<Log> {
    const settings = logSettings(options);
    const opened = await openLog(directory, settings);
    try {
      const synced = await SyncedIndexFile.open(directory, opened.syncedIndex, settings.checksum);
      await spareLogStart(directory);
      return new Log(directory, settings, opened, synced);
    } catch (error) {
      await opened.activeFile.close().catch(() => undefined);
      throw error;
    }
  }

  /** The first offset kept. */
  get startOffset(): Offset {
    return this.#list.start.offset;
  }

  /** One past the last record, written but not necessarily synced. */
  get endOffset(): Offset {
    return this.#list.end.offset;
  }

  /** The first index kept. */
  get startIndex(): Index {
    return this.#list.start.index;
  }

  /** Of the last batch; `startIndex - 1` when there is none. */
  get lastIndex(): Index {
    return this.#list.lastIndex;
  }

  /** Of the last batch; 0 when there never was one. */
  get lastTerm(): Term {
    return this.#list.end.term;
  }

  /** Of all stores. */
  get bytes(): number {
    return this.#list.bytes;
  }

  get segments(): number {
    return this.#list.segments.length;
  }

  /** Ranges that are damaged or lost, as far as is known by now. */
  get quarantined(): readonly Quarantine[] {
    return this.#list.quarantine.ranges;
  }

  /** Memory held by indexes of sealed segments. */
  get indexCacheBytes(): number {
    return this.#reader.indexes.bytes;
  }

  /** Throws what `append` would reject with now, whatever the batches: the log failed, is closed, or its end is quarantined. */
  assertAppendable(): void {
    if (this.#failure) throw this.#failure;
    if (this.#closed) throw new LogClosedError();
    this.#list.quarantine.assertEndWhole(this.#list.active.base.index);
  }

  /**
   * Writes the batches at the end of the log, rolling segments as needed. Not durable before `sync()`, but readable at
   * once. Each batch must be next in offset and index, with a term not lower than the one before. Rejects with
   * `DamagedEndError`, having written nothing, while a range in or beyond the active segment is quarantined.
   */
  async append(batches: readonly RecordBatch[]): Promise<void> {
    this.#begin('append');
    this.assertAppendable();
    let place = this.#list.end;
    for (const batch of batches) {
      invariant(
        follows(batch, place),
        () => `batch ${batch.index} at offset ${batch.baseOffset} is not next in the log`,
      );
      place = boundaryAfter(batch);
    }
    await this.#fatally('append', () => this.#append(batches));
  }

  async #append(batches: readonly RecordBatch[]): Promise<void> {
    for (let next = 0; next < batches.length;) {
      const { active } = this.#list;
      if (active.mustRollFor(batches[next], active.length, this.settings)) {
        await this.#roll();
        continue;
      }
      const chunks: Uint8Array[] = [];
      const first = next;
      let length: number = active.length;
      do {
        const batch = batches[next++];
        chunks.push(batch.header, batch.payload);
        length += storedBytes(batch);
      } while (next < batches.length && !active.mustRollFor(batches[next], length, this.settings, batches[first]));
      this.#unsynced = true;
      await this.#activeFile.write(active.length, chunks);
      for (let written = first; written < next; written++)
        active.extend(batches[written], active.length, storedBytes(batches[written]));
    }
  }

  /** The active segment is whole on disk before there is a next one, and the next one before the seal. */
  async #roll(): Promise<void> {
    const { indexIntervalBytes, checksum } = this.settings;
    const full = this.#list.active;
    const index = full.index;
    invariant(index !== undefined, 'the active segment has its index');
    await this.#activeFile.sync();
    const { segment, file } = await Segment.create(this.directory, full.end, indexIntervalBytes, checksum);
    this.#reader.stores.adopt(segment.storeName, file);
    this.#list.add(segment);
    this.#activeFile = file;
    this.#unsynced = false;
    await writeDurably(this.directory, full.indexName, encodeIndexFile(full.sealedState(), index, checksum));
    full.index = undefined;
    this.#reader.indexes.put(full, index);
    this.#reader.stores.release(full.storeName);
  }

  /** Makes all that was appended durable. */
  async sync(): Promise<void> {
    this.#begin('sync');
    if (this.#failure) throw this.#failure;
    if (this.#closed) throw new LogClosedError();
    if (this.#unsynced) await this.#fatally('sync', () => this.#sync());
  }

  async #sync(): Promise<void> {
    await this.#activeFile.sync();
    this.#unsynced = false;
    this.#synced.note(
      this.lastIndex,
      (cause) => (this.#failure ??= new LogFailedError('noting the synced index', cause)),
    );
  }

  /**
   * Whole batches of records, verified and without gaps, the first of which holds `from`. Those that begin below
   * `until`, about `bytesMax` bytes of them, at least one; none when `from` is at or beyond `until` or the log's end.
   * Stops where a segment ends. The batches share one buffer, which belongs to the caller.
   * Rejects with `OffsetOutOfRangeError` and `CorruptRangeError`.
   */
  read(from: Offset, limits: { until: Offset; bytesMax: number }): Promise<RecordBatch[]> {
    return this.#reader.readRecords(from, limits.until, limits.bytesMax);
  }

  /**
   * As `read`, by index, with the control batches. Rejects with `IndexOutOfRangeError` below `startIndex` or beyond
   * `lastIndex + 1`, and with `CorruptRangeError`.
   */
  readEntries(from: Index, limits: { until: Index; bytesMax: number }): Promise<RecordBatch[]> {
    return this.#reader.readEntries(from, limits.until, limits.bytesMax);
  }

  /** The term of an entry, or of the one before `startIndex`. Rejects as `readEntries` does. */
  termAt(index: Index): Promise<Term> {
    return this.#reader.termAt(index);
  }

  /**
   * The first offset whose record was appended at or after `time`; the log's end when there is none. Append times may
   * go back where the clock of a leader did: the answer is the first such record, not the last change.
   */
  offsetSince(time: EpochMs): Promise<Offset> {
    return this.#reader.offsetSince(time);
  }

  /**
   * Drops the leading segments that hold nothing at or beyond `before`; never the active one. The new log start is
   * durable before the first file goes. Reads under way there finish, or reject with `OffsetOutOfRangeError`.
   * Without the few bytes of space that the new log start takes nothing happens, and there is a notice.
   */
  async truncatePrefix(before: Offset): Promise<void> {
    this.#beginChange('truncatePrefix');
    const { segments } = this.#list;
    let count = 0;
    while (count < segments.length - 1 && segments[count].end.offset <= before) count++;
    if (count > 0) await this.#dropFirst('truncatePrefix', count);
  }

  /** Drops segments by size and age, the oldest first, as `truncatePrefix` does. */
  async retain(policy: RetentionPolicy): Promise<void> {
    this.#beginChange('retain');
    const count = this.#list.countToDrop(policy);
    if (count > 0) await this.#dropFirst('retain', count);
  }

  #dropFirst(operation: string, count: number): Promise<void> {
    return this.#fatally(operation, async () => {
      try {
        await writeLogStart(this.directory, this.#list.segments[count].base, this.settings.checksum);
      } catch (error) {
        if (!isNoSpaceError(error)) throw error;
        this.settings.onNotice({ kind: 'retention waits for space' });
        return;
      }
      const dropped = this.#list.dropFirst(count);
      for (const segment of dropped) await this.#removeFiles(segment);
      await this.directory.sync();
      await spareLogStart(this.directory);
    });
  }

  /**
   * Drops the entries from index `from` on, which must lie in `startIndex` to `lastIndex + 1`: for a conflict in Raft,
   * or to accept the loss of what is quarantined. Quarantined entries right before `from` go as well: see `lastIndex`.
   * A crash in between leaves a log that ends somewhere between here and where it ended.
   */
  async truncateSuffix(from: Index): Promise<void> {
    this.#beginChange('truncateSuffix');
    const list = this.#list;
    invariant(from >= this.startIndex && from <= this.lastIndex + 1, () => `index ${from} is in the log or next`);
    const first = list.firstUnreadableBefore(from);
    if (first > this.lastIndex && !list.quarantine.reaches(first)) return;
    const stored = list.countBelow(first);
    const segment = list.segments[stored - 1];
    const cut = await this.#reader.locateCut(segment, first);
    await this.#fatally('truncateSuffix', async () => {
      const wasSealed = segment !== list.active;
      const dropped = list.dropLast(stored);
      if (wasSealed) segment.reopen(cut.index, cut.firstTimeMs);
      segment.cut(cut.position, cut.end, cut.maxTimeMs);
      list.quarantine.cutFrom(first);
      list.cuts++;
      await this.#synced.lower((first - 1) as Index);
      // The last one first, each removal durable before the next, so that a crash leaves no hole.
      for (const each of dropped.reverse()) {
        await this.#removeFiles(each);
        await this.directory.sync();
      }
      if (segment.unreadable) await this.#recreate(segment);
      else await this.#cutStore(segment, wasSealed);
    });
  }

  async #cutStore(segment: Segment, wasSealed: boolean): Promise<void> {
    if (wasSealed) {
      // Before the store changes: the seal would lie of one that grew back to the same length.
      await removeIfThere(this.directory, segment.indexName);
      await this.directory.sync();
      this.#activeFile = await this.directory.open(segment.storeName);
      this.#reader.indexes.forget(segment);
      this.#reader.stores.adopt(segment.storeName, this.#activeFile);
    }
    await this.#activeFile.truncate(segment.length);
    await this.#sync();
  }

  /** The header of the log's first segment is damaged, and everything in it was given up. */
  async #recreate(segment: Segment): Promise<void> {
    const { indexIntervalBytes, checksum } = this.settings;
    const created = await Segment.create(this.directory, this.#list.start, indexIntervalBytes, checksum);
    this.#reader.stores.adopt(segment.storeName, created.file);
    this.#list.replaceLast(created.segment);
    this.#activeFile = created.file;
    this.#unsynced = false;
  }

  /**
   * Drops everything, what is quarantined included, and begins anew at `place`: for a follower whose leader no longer
   * keeps what it lacks (Raft §7). `place` is one of the leader's log, beyond every entry known to be committed here;
   * its term is that of entry `place.index - 1`. Durable when it resolves. Reads under way reject with
   * `OffsetOutOfRangeError` or `IndexOutOfRangeError`. A crash in between leaves the new log, or the old one, of which
   * entries at the end that `place` contradicts may be gone; the durable index that is given to `open` must not reach
   * `place.index - 1` before this resolved.
   */
  async reset(place: LogBoundary): Promise<void> {
    this.#beginChange('reset');
    invariant(place.index >= this.startIndex, `index ${place.index} is not below the log's first, ${this.startIndex}`);
    const { indexIntervalBytes, checksum } = this.settings;
    await this.#fatally('reset', async () => {
      const old = this.#list.restart(Segment.empty(place, indexIntervalBytes));
      await this.#dropContradicted(old, place);
      await writeLogStart(this.directory, place, checksum);
      // There is a store at any time: the new one is made, or takes the name of the last, before the old ones go.
      const { segment, file } = await Segment.create(this.directory, place, indexIntervalBytes, checksum);
      this.#list.replaceLast(segment);
      this.#activeFile = file;
      this.#unsynced = false;
      for (const { storeName, indexName } of old) {
        this.#reader.stores.forget(storeName);
        if (storeName !== segment.storeName) await removeIfThere(this.directory, storeName);
        await removeIfThere(this.directory, indexName);
      }
      this.#reader.stores.adopt(segment.storeName, file);
      await this.directory.sync();
      await spareLogStart(this.directory);
    });
  }

  /**
   * Opening takes a last store below the log start, or of its name, for what a reset had not removed yet. So segments
   * beyond it go first; they conflict with the leader's log, so nothing in them is committed.
   */
  async #dropContradicted(old: Segment[], place: LogBoundary): Promise<void> {
    let stored = old.length;
    while (stored > 1 && liesBeyond(old[stored - 1].base, place)) stored--;
    const dropped = old.splice(stored);
    const end = dropped.length > 0 ? Math.min(old[stored - 1].end.index, place.index) : place.index;
    await this.#synced.lower((end - 1) as Index);
    for (const segment of dropped.reverse()) {
      await this.#removeFiles(segment);
      await this.directory.sync();
    }
  }

  async #removeFiles(segment: Segment): Promise<void> {
    this.#reader.indexes.forget(segment);
    this.#reader.stores.forget(segment.storeName);
    await removeIfThere(this.directory, segment.storeName);
    await removeIfThere(this.directory, segment.indexName);
  }

  /** Syncs, unless the log has failed, and lets go of the files. Reads under way reject. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#begin('close');
    try {
      if (!this.#failure) await this.#fatally('close', () => this.#finish());
    } finally {
      this.#closed = true;
      await Promise.all([this.#synced.close(), this.#reader.close()]);
    }
  }

  async #finish(): Promise<void> {
    if (this.#unsynced) await this.#sync();
    if (!this.#list.quarantine.atEnd(this.#list.active.base.index)) await this.#synced.noteDurably(this.lastIndex);
  }

  #beginChange(operation: string): void {
    this.#begin(operation);
    if (this.#failure) throw this.#failure;
    if (this.#closed) throw new LogClosedError();
  }

  #begin(operation: string): void {
    invariant(this.#operation === undefined, `${operation} began before ${this.#operation} settled: one writer`);
  }

  /** Whatever fails in here leaves the disk in a state that nobody knows. */
  async #fatally(operation: string, task: () => Promise<void>): Promise<void> {
    this.#begin(operation);
    this.#operation = operation;
    try {
      await task();
    } catch (cause) {
      this.#failure = new LogFailedError(operation, cause);
      throw this.#failure;
    } finally {
      this.#operation = undefined;
    }
  }
}

const liesBeyond = (base: LogBoundary, place: LogBoundary): boolean =>
  base.index >= place.index || base.offset > place.offset;
