import { isNoSpaceError, type Directory, type File } from './directory.js';
import { copyDurably, ifSpace, removeIfThere, writeDurably } from './durable-file.js';
import { encodeIndexFile } from './index-file.js';
import { invariant } from './invariant.js';
import { LogReader } from './log-reader.js';
import { openLog, type OpenedLog } from './log-opening.js';
import { logSettings, type LogOptions, type LogSettings } from './log-options.js';
import { spareLogStart, writeLogStart } from './log-start.js';
import type { EpochMs, Index, Offset, Term } from './offsets.js';
import { follows, boundaryAfter, startsAfter, type LogBoundary } from './log-boundary.js';
import { storedBytes, type RecordBatch } from './record-batch.js';
import type { Quarantine, RecoveryReport } from './recovery.js';
import { Segment } from './segment.js';
import type { RetentionPolicy } from './retention.js';
import { SegmentList } from './segment-list.js';
import { SingleWriter } from './single-writer.js';
import { type DamagedStretch, StretchCopy } from './stretch-copy.js';
import { type SyncedEnd, SyncedIndexFile } from './synced-index.js';

export type { LogOptions } from './log-options.js';

/**
 * A log: an ordered list of segments. Appends go to the last one.
 *
 * One writer calls `append`, `sync`, `truncatePrefix`, `truncateSuffix`, `reset`, `retain` and `close`, one at a time;
 * reads may run concurrently. After a failed write or sync, all of them except `close` reject with `LogFailedError`,
 * and the process should exit.
 */
export class Log {
  readonly recovery: RecoveryReport;
  readonly #list: SegmentList;
  readonly #reader: LogReader;
  #activeFile: File;
  readonly #synced: SyncedIndexFile;
  /** True if the active store was written to since its last sync. */
  #unsynced = false;
  readonly #writer = new SingleWriter();

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
   * Opens the log in `directory`, or creates an empty one. Recovers by the table in recovery.ts and reports the result
   * in `recovery`. When it resolves, everything in the log is durable. Rejects with `ForeignLogError`,
   * `UnsupportedFormatError`, `MissingLogError`, or the directory's error.
   */
  static async open(directory: Directory, options: LogOptions): Promise<Log> {
    const settings = logSettings(options);
    const opened = await openLog(directory, settings);
    try {
      const synced = await SyncedIndexFile.open(directory, opened.syncedEnd, settings.checksum);
      await spareLogStart(directory, opened.start, settings.checksum);
      return new Log(directory, settings, opened, synced);
    } catch (error) {
      await opened.activeFile.close().catch(() => undefined);
      throw error;
    }
  }

  /** The first offset in the log. */
  get startOffset(): Offset {
    return this.#list.start.offset;
  }

  /** The offset after the last record, which may not be synced yet. */
  get endOffset(): Offset {
    return this.#list.end.offset;
  }

  /**
   * The offset after the last record that is stored or was: past `endOffset` if the end of the log is lost. One record
   * is counted where the number of lost ones is unknown.
   */
  get durableEndOffset(): Offset {
    return this.#list.quarantine.endOffset(this.endOffset);
  }

  /** The first index in the log. */
  get startIndex(): Index {
    return this.#list.start.index;
  }

  /** The index of the last batch; `startIndex - 1` when the log is empty. */
  get lastIndex(): Index {
    return this.#list.lastIndex;
  }

  /** The term of the last batch; 0 when there never was one. */
  get lastTerm(): Term {
    return this.#list.end.term;
  }

  /** The append time of the last batch, as far as it is in the active segment; otherwise the latest before; 0: none. */
  get lastTimeMs(): EpochMs {
    return this.#list.lastTimeMs;
  }

  /** Returns the first segment with an append time after `time`: its base offset and that time. */
  firstAheadOf(time: EpochMs): { readonly offset: Offset; readonly timeMs: EpochMs } | undefined {
    const ahead = this.#list.segments.find(({ maxTimeMs }) => maxTimeMs > time);
    return ahead && { offset: ahead.base.offset, timeMs: ahead.maxTimeMs };
  }

  /** The total size of all stores. */
  get bytes(): number {
    return this.#list.bytes;
  }

  get segments(): number {
    return this.#list.segments.length;
  }

  /** The first index of the active segment: all entries below it are in sealed segments. */
  get sealedEnd(): Index {
    return this.#list.active.base.index;
  }

  /** Returns the size of the stores that end at or before the index. */
  bytesBelow(index: Index): number {
    return this.#list.bytesBelow(index);
  }

  /** The ranges known so far to be damaged or lost. */
  get quarantined(): readonly Quarantine[] {
    return this.#list.quarantine.ranges;
  }

  /** Whether a file of the log waits for a descriptor, because the process has none left. */
  get lacksDescriptors(): boolean {
    return this.directory.lacksDescriptors === true;
  }

  /** Memory used by the indexes of sealed segments. */
  get indexCacheBytes(): number {
    return this.#reader.indexes.bytes;
  }

  /** Throws `CorruptRangeError` if the offset is in a quarantined range. */
  assertReadable(offset: Offset): void {
    this.#list.quarantine.assertOffsetReadable(offset);
  }

  /**
   * Sets the age of a segment: a batch whose append time is this much later than the segment's first batch starts a new
   * one (default: no limit).
   */
  rollAfter(segmentAgeMsMax: number): void {
    this.settings.segmentAgeMsMax = segmentAgeMsMax;
  }

  /** Throws the error that any `append` would reject with now: the log failed, is closed, or its end is quarantined. */
  assertAppendable(): void {
    this.#writer.assertOpen();
    this.#list.quarantine.assertEndWhole(this.#list.active.base.index);
  }

  /**
   * Appends the batches, rolling segments as needed. They are readable at once but not durable before `sync()`. Each
   * batch must have the next offset and index, and a term not lower than the previous one. Rejects with
   * `DamagedEndError`, and writes nothing, while a range in or after the active segment is quarantined.
   */
  async append(batches: readonly RecordBatch[]): Promise<void> {
    this.#writer.assertIdle('append');
    this.assertAppendable();
    let boundary = this.#list.end;
    for (const batch of batches) {
      const { index, baseOffset } = batch;
      invariant(follows(batch, boundary), () => `batch ${index} at offset ${baseOffset} is not next in the log`);
      boundary = boundaryAfter(batch);
    }
    await this.#writer.run('append', () => this.#append(batches));
  }

  async #append(batches: readonly RecordBatch[]): Promise<void> {
    for (let next = 0; next < batches.length;) {
      const { active } = this.#list;
      if (active.mustRollFor(batches[next], active.length, this.settings)) {
        await this.#roll();
        continue;
      }
      const fitting = batches.slice(next, active.endOfFitting(batches, next, this.settings));
      next += fitting.length;
      this.#unsynced = true;
      const chunks = fitting.flatMap(({ header, payload }) => [header, payload]);
      await this.#activeFile.write(active.length, chunks);
      for (const batch of fitting) active.extend(batch, active.length, storedBytes(batch));
    }
  }

  /** Syncs the active segment, then creates the next one, then writes the index file that seals the full one. */
  async #roll(): Promise<void> {
    const { indexIntervalBytes, checksum } = this.settings;
    const full = this.#list.active;
    const index = full.index;
    invariant(index !== undefined, 'the active segment has its index');
    await this.#activeFile.sync();
    const { segment, file } = await Segment.create(this.directory, full.end, indexIntervalBytes, checksum);
    this.#list.add(segment);
    this.#activate(segment, file);
    this.#unsynced = false;
    await writeDurably(this.directory, full.indexName, encodeIndexFile(full.sealedState(), index, checksum));
    full.index = undefined;
    this.#reader.indexes.put(full, index);
    this.#reader.stores.release(full.storeName);
  }

  /** Makes all appended batches durable. */
  async sync(): Promise<void> {
    this.#writer.begin('sync');
    if (this.#unsynced) await this.#writer.run('sync', () => this.#sync());
  }

  async #sync(): Promise<void> {
    await this.#activeFile.sync();
    this.#unsynced = false;
    this.#synced.note(this.#end, (cause) => this.#writer.fail('noting the synced index', cause));
  }

  /**
   * Reads whole batches of records, verified and without gaps, starting with the one that contains `from`. Returns
   * about `bytesMax` bytes of batches that begin below `until`, at least one batch; none when `from` is at or after
   * `until` or the log's end. Stops at the end of a segment. The batches share one buffer, which the caller owns.
   * Rejects with `OffsetOutOfRangeError` and `CorruptRangeError`.
   */
  read(from: Offset, limits: { until: Offset; bytesMax: number }): Promise<RecordBatch[]> {
    return this.#reader.readRecords(from, limits.until, limits.bytesMax);
  }

  /**
   * Reads like `read`, but by index and including control batches. Rejects with `IndexOutOfRangeError` below
   * `startIndex` or above `lastIndex + 1`, and with `CorruptRangeError`.
   */
  readEntries(from: Index, limits: { until: Index; bytesMax: number }): Promise<RecordBatch[]> {
    return this.#reader.readEntries(from, limits.until, limits.bytesMax);
  }

  /** Returns the term of an entry, or of the entry before `startIndex`. Rejects as `readEntries` does. */
  termAt(index: Index): Promise<Term> {
    return this.#reader.termAt(index);
  }

  /**
   * Returns the offset of the first record appended at or after `time`; the log's end when there is no such record.
   * Append times may decrease when a leader's clock went back: the result is then still the first such record.
   */
  offsetSince(time: EpochMs): Promise<Offset> {
    return this.#reader.offsetSince(time);
  }

  /**
   * Drops the leading segments that hold nothing at or after `before`, but never the active one. The new log start is
   * durable before the first file is removed. Reads in flight there finish, or reject with `OffsetOutOfRangeError`. If
   * the disk has no space for the new log start (a few bytes), nothing is dropped and a notice is sent.
   */
  async truncatePrefix(before: Offset): Promise<void> {
    this.#writer.begin('truncatePrefix');
    const { segments } = this.#list;
    let count = 0;
    while (count < segments.length - 1 && segments[count].end.offset <= before) count++;
    if (count > 0) await this.#dropFirst('truncatePrefix', count);
  }

  /** Drops the oldest segments by size, age and offset, in the same way as `truncatePrefix`. */
  async retain(policy: RetentionPolicy): Promise<void> {
    this.#writer.begin('retain');
    const count = this.#list.countToDrop(policy);
    if (count > 0) await this.#dropFirst('retain', count);
  }

  #dropFirst(operation: string, count: number): Promise<void> {
    return this.#writer.run(operation, async () => {
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
      await spareLogStart(this.directory, this.#list.start, this.settings.checksum);
    });
  }

  /**
   * Drops the entries from index `from` on, which must be from `startIndex` to `lastIndex + 1`: after a conflict in
   * Raft, or to accept the loss of quarantined entries. Also drops quarantined entries right before `from`; see
   * `lastIndex` for the result. After a crash in between, the log ends somewhere between the new end and the old one.
   */
  async truncateSuffix(from: Index): Promise<void> {
    this.#writer.begin('truncateSuffix');
    const list = this.#list;
    invariant(from >= this.startIndex && from <= this.lastIndex + 1, () => `index ${from} is in the log or next`);
    const first = list.firstUnreadableBefore(from);
    if (first > this.lastIndex && !list.quarantine.reaches(first)) return;
    const remaining = list.countBelow(first);
    const segment = list.segments[remaining - 1];
    const cut = await this.#reader.locateCut(segment, first);
    const isDamaged = list.quarantine.reaches(first);
    await this.#writer.run('truncateSuffix', async () => {
      const wasSealed = segment !== list.active;
      const dropped = list.dropLast(remaining);
      if (wasSealed) segment.reopen(cut.index, cut.firstTimeMs);
      segment.cut(cut.position, cut.end, cut.maxTimeMs);
      list.quarantine.cutFrom(first);
      list.cuts++;
      await this.#synced.lower({ index: (first - 1) as Index, offset: cut.end.offset });
      // Removes the last segment first and makes each removal durable before the next, so that a crash leaves no gap.
      for (const each of dropped.reverse()) {
        await this.#removeFiles(each);
        await this.directory.sync();
      }
      if (segment.unreadable) await this.#recreate(segment);
      else await this.#cutStore(segment, wasSealed, isDamaged);
    });
  }

  async #cutStore(segment: Segment, wasSealed: boolean, isDamaged: boolean): Promise<void> {
    if (wasSealed) {
      // Removed before the store changes: otherwise it would seem to seal a store that grew back to the same length.
      await removeIfThere(this.directory, segment.indexName);
      await this.directory.sync();
      this.#reader.indexes.forget(segment);
      this.#activate(segment, await this.directory.open(segment.storeName));
    }
    if (!isDamaged || !(await ifSpace(() => this.#moveStore(segment)))) await this.#activeFile.truncate(segment.length);
    await this.#sync();
  }

  /** Copies what remains of the active store into a new file: bad sectors after it cannot be written either. */
  async #moveStore(segment: Segment): Promise<void> {
    const { storeName, length } = segment;
    this.#activate(segment, await copyDurably(this.directory, storeName, this.#activeFile, length));
  }

  #activate({ storeName }: Segment, file: File): void {
    this.#reader.stores.adopt(storeName, file);
    this.#activeFile = file;
  }

  /** Recreates the log's first segment, whose header is damaged and whose entries are all dropped. */
  async #recreate(segment: Segment): Promise<void> {
    const { indexIntervalBytes, checksum } = this.settings;
    const created = await Segment.create(this.directory, this.#list.start, indexIntervalBytes, checksum);
    this.#list.replaceLast(created.segment);
    this.#activate(segment, created.file);
    this.#unsynced = false;
  }

  /**
   * Drops everything, including quarantined ranges, and restarts the log at `boundary`: for a follower that needs
   * entries its leader no longer has (Raft §7). `boundary` is a boundary of the leader's log, after every entry known
   * to be committed here; its term is that of entry `boundary.index - 1`. Durable when it resolves. Reads in flight
   * reject with `OffsetOutOfRangeError` or `IndexOutOfRangeError`. A crash in between leaves either the new log, or the
   * old one, possibly without some entries at the end that conflict with `boundary`; the durable index passed to `open`
   * must not reach `boundary.index - 1` until this has resolved.
   */
  async reset(boundary: LogBoundary): Promise<void> {
    this.#writer.begin('reset');
    invariant(
      boundary.index >= this.startIndex,
      `the index of a reset is not below the log's first index: ${boundary.index} >= ${this.startIndex}`,
    );
    const { indexIntervalBytes, checksum } = this.settings;
    await this.#writer.run('reset', async () => {
      const old = this.#list.restart(Segment.empty(boundary, indexIntervalBytes));
      await this.#dropConflicting(old, boundary);
      await writeLogStart(this.directory, boundary, checksum);
      // A store exists at all times: the new one is created, or replaces the last one, before the old ones are removed.
      const { segment, file } = await Segment.create(this.directory, boundary, indexIntervalBytes, checksum);
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
      await spareLogStart(this.directory, boundary, checksum);
    });
  }

  /**
   * Removes the segments after the new log start. Opening treats a last store below the log start, or with its name, as
   * a leftover of a reset, so later segments must be removed first. They conflict with the leader's log, so nothing in
   * them is committed.
   */
  async #dropConflicting(old: Segment[], boundary: LogBoundary): Promise<void> {
    let remaining = old.length;
    while (remaining > 1 && startsAfter(old[remaining - 1].base, boundary)) remaining--;
    const dropped = old.splice(remaining);
    const end = dropped.length > 0 ? Math.min(old[remaining - 1].end.index, boundary.index) : boundary.index;
    await this.#synced.lower({ index: (end - 1) as Index, offset: undefined });
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

  /** Returns the first damaged part of the log in sealed segments that ends at or before the index. */
  damagedStretch(upTo: Index): DamagedStretch | undefined {
    return this.#list.damagedStretch(upTo);
  }

  /** Begins new files for a damaged part of the log. Needs no turn of the writer. */
  copyStretch(stretch: DamagedStretch): StretchCopy {
    return new StretchCopy(this.directory, this.settings, stretch);
  }

  /**
   * Puts finished files in the place of a damaged part. Returns false, and changes nothing, if the log has changed there
   * since the copy was begun. A crash leaves the old files, the new ones, or a gap, which is damage as well.
   */
  async replaceStretch(copy: StretchCopy): Promise<boolean> {
    this.#writer.begin('replaceStretch');
    const { stretch } = copy;
    if (!copy.isComplete || !this.#list.has(stretch)) return false;
    await this.#writer.run('replaceStretch', async () => {
      await copy.install((name) => this.#reader.stores.forget(name));
      for (const each of stretch.segments) this.#reader.indexes.forget(each);
      this.#list.replaceStretch(stretch, copy.segments);
      await copy.seal();
    });
    return true;
  }

  /**
   * Reads the first sealed segment that ends after the index through, and quarantines what is damaged in it. `pace`
   * resolves when that many bytes may be read. Resolves with the index after the segment; undefined if no segment ends after it.
   */
  scrub(from: Index, pace: (bytes: number) => Promise<void>): Promise<Index | undefined> {
    return this.#reader.scrub(from, pace);
  }

  /** Makes durable what is known to be synced, for a start after a power cut. */
  async noteSynced(): Promise<void> {
    if (this.#writer.hasFailed || this.#writer.isClosed) return;
    await this.#synced.sync().catch((cause: unknown) => {
      throw this.#writer.fail('syncing the synced index', cause);
    });
  }

  get #end(): SyncedEnd {
    return { index: this.lastIndex, offset: this.endOffset };
  }

  /** Syncs, unless the log has failed, and closes the files. Reads in flight reject. Idempotent. */
  async close(): Promise<void> {
    if (this.#writer.isClosed) return;
    this.#writer.assertIdle('close');
    try {
      if (!this.#writer.hasFailed) await this.#writer.run('close', () => this.#finish());
    } finally {
      this.#writer.close();
      await Promise.all([this.#synced.close(), this.#reader.close()]);
    }
  }

  async #finish(): Promise<void> {
    if (this.#unsynced) await this.#sync();
    if (!this.#list.quarantine.atEnd(this.#list.active.base.index)) await this.#synced.noteDurably(this.#end);
  }
}
