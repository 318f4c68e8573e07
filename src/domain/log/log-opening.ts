import { type Directory, type File, UnreadableError } from './directory.js';
import { ifSpace, removeIfThere, tryTwice, unlessUnreadable, writeDurably } from './durable-file.js';
import { MissingLogError } from './errors.js';
import { indexFileName, storeBaseOffset, storeFileName, temporarySuffix, tornFileName } from './file-names.js';
import { encodeIndexFile, readIndexFooter } from './index-file.js';
import type { LogSettings } from './log-options.js';
import { findLogStart, isLeftByReset, liesBelow, readLogStart, writeLogStart } from './log-start.js';
import type { Index, Offset } from './offsets.js';
import { describeBoundary, logOrigin, sameBoundary, type LogBoundary } from './log-boundary.js';
import { QuarantineList } from './quarantine.js';
import { batchHeaderBytes, type BatchHeader } from './record-batch.js';
import { decideRecovery, type LogNotice, type RecoveryReport } from './recovery.js';
import { Segment } from './segment.js';
import { decodeStoreHeader, firstBatchPosition, readHeader } from './store-header.js';
import { describeFault, scanStore, type StoreScan } from './store-scan.js';
import { type SyncedEnd, SyncedIndexFile } from './synced-index.js';

const rewriteBytesMax = 1 << 20;

export interface OpenedLog {
  readonly start: LogBoundary;
  /** At least one; the last is active. */
  readonly segments: Segment[];
  readonly activeFile: File;
  readonly quarantine: QuarantineList;
  readonly recovery: RecoveryReport;
  /** The value to write to the synced-index file now. */
  readonly syncedEnd: SyncedEnd;
}

/**
 * Opens the log in `directory`, or creates an empty one. Reads only the header and footer of sealed segments; scans the
 * last segment and recovers it by the table in recovery.ts. When it resolves, everything that it found is durable, even
 * if the process that wrote it was killed before its sync.
 */
export async function openLog(directory: Directory, settings: LogSettings): Promise<OpenedLog> {
  return new LogOpening(directory, settings).run();
}

class LogOpening {
  readonly #quarantine = new QuarantineList();
  #durableIndex = 0;
  /** The offset after the entry at the durable index; undefined: not known. */
  #durableOffset: Offset | undefined;
  #syncedKnown = false;
  #scannedBytes = 0;
  #indexesRebuilt = 0;
  #torn: { bytes: number; fileName: string | undefined } | undefined;

  constructor(
    private readonly directory: Directory,
    private readonly settings: LogSettings,
  ) {}

  async run(): Promise<OpenedLog> {
    const names = await this.directory.list();
    const recordedStart = await readLogStart(this.directory, this.settings.checksum);
    const bases = names.map(storeBaseOffset).filter((base) => base !== undefined);
    const synced = await SyncedIndexFile.read(this.directory, this.settings.checksum);
    this.#syncedKnown = synced !== undefined;
    this.#durableIndex = Math.max(this.settings.durableIndex, synced?.index ?? 0);
    if (synced?.index === this.#durableIndex) this.#durableOffset = synced.offset;
    if (bases.length === 0 && (recordedStart !== undefined || this.#durableIndex > 0))
      throw new MissingLogError(this.#durableIndex);
    const stored = await this.#removeLeftovers(names, bases, recordedStart);
    if (stored.length === 0) return this.#createEmpty();
    if (recordedStart !== undefined && recordedStart !== 'damaged') {
      const last = stored[stored.length - 1];
      if (await isLeftByReset(this.directory, last, recordedStart, this.#durableIndex, this.settings.checksum))
        return this.#finishReset(recordedStart, last);
    }

    const segments: Segment[] = [];
    for (let i = 0; i < stored.length - 1; i++) segments.push(await this.#openSealed(stored[i]));
    const { segment, file } = await this.#openLast(stored[stored.length - 1], names);
    segments.push(segment);

    const start = await this.#findStart(recordedStart, segments[0]);
    this.#checkJoints(start, segments);
    await this.#makeDurable(file, segment);
    return this.#opened(start, segments, file);
  }

  /** Finds the log start, and writes its file again if that is not what said it. */
  async #findStart(recorded: LogBoundary | 'damaged' | undefined, { base, unreadable }: Segment): Promise<LogBoundary> {
    const { checksum } = this.settings;
    const { start, problem } = await findLogStart(this.directory, recorded, unreadable ? undefined : base, checksum);
    if (problem === undefined) return start;
    this.#notify({ kind: 'log start unknown', reason: problem });
    await ifSpace(() => writeLogStart(this.directory, start, checksum));
    return start;
  }

  #opened(start: LogBoundary, segments: Segment[], activeFile: File): OpenedLog {
    const recovery: RecoveryReport = {
      segments: segments.length,
      scannedBytes: this.#scannedBytes,
      torn: this.#torn,
      quarantined: [...this.#quarantine.ranges],
      indexesRebuilt: this.#indexesRebuilt,
    };
    return {
      start,
      segments,
      activeFile,
      quarantine: this.#quarantine,
      recovery,
      syncedEnd: this.#syncedEnd(segments),
    };
  }

  /** Returns an end such that, if a range is quarantined now, the next open quarantines it again. */
  #syncedEnd(segments: Segment[]): SyncedEnd {
    const { index: next, offset } = segments[segments.length - 1].end;
    const damaged = this.#quarantine.ranges.map(({ fromIndex }) => fromIndex);
    const index = Math.max(next - 1, ...(damaged.length > 0 ? [this.#durableIndex, ...damaged] : [])) as Index;
    if (index < next) return { index, offset };
    return { index, offset: index === this.#durableIndex ? this.#durableOffset : undefined };
  }

  async #createEmpty(): Promise<OpenedLog> {
    const { indexIntervalBytes, checksum } = this.settings;
    const { segment, file } = await Segment.create(this.directory, logOrigin, indexIntervalBytes, checksum);
    return this.#opened(logOrigin, [segment], file);
  }

  /** Completes a reset that a crash interrupted. The directory has a store at all times, as in `Log.reset`. */
  async #finishReset(start: LogBoundary, left: Offset): Promise<OpenedLog> {
    const { indexIntervalBytes, checksum } = this.settings;
    const { segment, file } = await Segment.create(this.directory, start, indexIntervalBytes, checksum);
    await removeIfThere(this.directory, indexFileName(left));
    const storeName = storeFileName(left);
    if (storeName !== segment.storeName) await removeIfThere(this.directory, storeName);
    await this.directory.sync();
    this.#notify({ kind: 'leftover removed', fileName: storeName });
    return this.#opened(start, [segment], file);
  }

  /**
   * Removes what a crash left: temporary files, and segments below the log start. Returns the remaining base offsets.
   */
  async #removeLeftovers(
    names: readonly string[],
    bases: readonly Offset[],
    start: LogBoundary | 'damaged' | undefined,
  ): Promise<Offset[]> {
    const leftovers = names.filter((name) => name.endsWith(temporarySuffix));
    const stored = [...bases].sort((a, b) => a - b);
    if (start !== undefined && start !== 'damaged')
      while (stored.length > 1 && liesBelow(start, stored[0], stored[1])) {
        const [base] = stored.splice(0, 1);
        leftovers.push(storeFileName(base), indexFileName(base));
      }
    for (const name of leftovers)
      if (await removeIfThere(this.directory, name)) this.#notify({ kind: 'leftover removed', fileName: name });
    if (leftovers.length > 0) await this.directory.sync();
    return stored;
  }

  /** Opens a segment that is not the last: it was complete on disk before the next one was created. */
  async #openSealed(base: Offset): Promise<Segment> {
    const storeName = storeFileName(base);
    const file = await unlessUnreadable(() => this.directory.open(storeName), undefined);
    if (!file) return unreadable(base);
    try {
      const size = await file.size();
      const boundary = await this.#readHeader(file, storeName, base);
      if (!boundary) return unreadable(base);
      const sealed = await readIndexFooter(this.directory, indexFileName(base), this.settings.checksum);
      if (typeof sealed !== 'string' && sameBoundary(sealed.base, boundary) && sealed.storeLength === size)
        return Segment.sealed(sealed);
      const reason = typeof sealed === 'string' ? sealed : 'does not fit the store';
      return await this.#rebuild(file, boundary, size, reason);
    } finally {
      await file.close();
    }
  }

  async #rebuild(file: File, boundary: LogBoundary, size: number, reason: string): Promise<Segment> {
    const segment = Segment.empty(boundary, this.settings.indexIntervalBytes);
    const scan = await this.#scan(file, segment, size);
    const badBytes = scan.faults.length > 0;
    const facts = { badBytes, validAfter: false, durableFound: true, syncedKnown: false, unreadable: false };
    if (decideRecovery({ segment: 'sealed', ...facts }).action === 'quarantine') {
      // The base of the next segment shows how much a sealed segment has lost at its end.
      for (const fault of scan.faults)
        this.#addQuarantine(segment.storeName, fault.from, fault.to ?? fault.from, describeFault(fault));
      return segment;
    }
    const content = encodeIndexFile(segment.sealedState(), segment.index!, this.settings.checksum);
    const written = await ifSpace(() => writeDurably(this.directory, segment.indexName, content));
    // On a full disk, the index stays in memory while the log is open.
    if (written) segment.index = undefined;
    this.#indexesRebuilt++;
    this.#notify({ kind: 'index rebuilt', fileName: segment.indexName, reason });
    return segment;
  }

  async #openLast(base: Offset, names: readonly string[]): Promise<{ segment: Segment; file: File }> {
    const storeName = storeFileName(base);
    // The segment will grow again, so the footer that sealed it would be wrong.
    if (await removeIfThere(this.directory, indexFileName(base))) await this.directory.sync();
    const file = await tryTwice(() => this.directory.open(storeName));
    try {
      const size = await file.size();
      const boundary = await this.#readHeader(file, storeName, base);
      if (!boundary) return { segment: unreadable(base), file };
      return { segment: await this.#recoverLast(file, boundary, size, names), file };
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
  }

  async #recoverLast(file: File, boundary: LogBoundary, size: number, names: readonly string[]): Promise<Segment> {
    const segment = Segment.empty(boundary, this.settings.indexIntervalBytes);
    const scan = await this.#scan(file, segment, size);
    const { faults } = scan;
    const badBytes = faults.length > 0;
    const { action, found } = decideRecovery({
      segment: 'last',
      badBytes,
      validAfter: faults.some(({ to, searchedAll }) => to !== undefined || !searchedAll),
      durableFound: (badBytes ? faults[0].from.index : segment.end.index) > this.#durableIndex,
      syncedKnown: this.#syncedKnown,
      unreadable: scan.isUnreadable,
    });
    if (action === 'cut the torn tail') {
      await this.#cutTornTail(segment.storeName, boundary.offset, file, faults[0].position, size, names);
      // Batches found after the bad bytes are removed with them.
      return scan.end === faults[0].position ? segment : this.#recoverLast(file, boundary, faults[0].position, names);
    }
    if (action === 'quarantine' && badBytes) this.#quarantineFaults(segment, scan);
    else if (action === 'quarantine') this.#addQuarantine(segment.storeName, segment.end, undefined, found);
    return segment;
  }

  /**
   * Saves a copy of the torn bytes, if there is space, before cutting them: they were never acknowledged, but an
   * operator may want to inspect them.
   */
  async #cutTornTail(
    storeName: string,
    base: Offset,
    file: File,
    length: number,
    size: number,
    names: readonly string[],
  ): Promise<void> {
    const keptAs = tornFileName(base, names);
    const copyBytesMax = 1 << 20;
    const chunks: Uint8Array[] = [];
    for (let at: number = length; at < size; at += copyBytesMax) {
      const bytes = Math.min(copyBytesMax, size - at);
      chunks.push(await unlessUnreadable(() => file.read(at, bytes), new Uint8Array(bytes)));
    }
    const stored = await ifSpace(() => writeDurably(this.directory, keptAs, chunks));
    await file.truncate(length);
    await file.sync();
    this.#torn = { bytes: size - length, fileName: stored ? keptAs : undefined };
    this.#notify({ kind: 'torn tail cut', fileName: storeName, bytes: size - length, ...(stored && { keptAs }) });
  }

  /**
   * Returns the boundary in the store's header; `undefined` when the header is damaged or does not match the file name.
   */
  async #readHeader(file: File, storeName: string, base: Offset): Promise<LogBoundary | undefined> {
    const boundary = decodeStoreHeader(await readHeader(file), storeName, this.settings.checksum);
    return boundary?.offset === base ? boundary : undefined;
  }

  async #scan(file: File, segment: Segment, size: number): Promise<StoreScan> {
    const range = { from: firstBatchPosition, length: size, boundary: segment.base };
    const visit = (header: BatchHeader, position: Segment['length'], afterFault: boolean): void =>
      segment.extend(header, position, batchHeaderBytes + header.payloadLength, afterFault);
    const scan = await scanStore(file, range, this.settings.checksum, visit);
    this.#scannedBytes += size;
    return scan;
  }

  #quarantineFaults(segment: Segment, { faults }: StoreScan): void {
    for (const fault of faults) this.#addQuarantine(segment.storeName, fault.from, fault.to, describeFault(fault));
  }

  /** Without `to`, the end of the log is lost: at least everything up to the durable index. */
  #addQuarantine(fileName: string, from: LogBoundary, to: LogBoundary | undefined, reason: string): void {
    const toIndex = Math.max(to?.index ?? this.#durableIndex + 1, from.index) as Index;
    const end = to === undefined && this.#durableIndex >= from.index ? this.#durableOffset : to?.offset;
    const bounds = { from: from.offset, to: Math.max(end ?? 0, from.offset) as Offset, fromIndex: from.index, toIndex };
    const range = { ...bounds, ...(end === undefined && { endUnknown: true as const }), reason };
    if (this.#quarantine.add(range)) this.#notify({ kind: 'quarantined', fileName, ...range });
  }

  /** Checks that the first segment begins at the log start, and each other one where the previous one ends. */
  #checkJoints(start: LogBoundary, segments: Segment[]): void {
    let expected = start;
    segments.forEach((segment, i) => {
      if (segment.unreadable) expected = this.#boundUnreadable(segments, i, expected);
      else {
        if (!sameBoundary(segment.base, expected)) {
          const reason = `entries are missing between ${describeBoundary(expected)} and ${describeBoundary(segment.base)}`;
          this.#addQuarantine(segment.storeName, expected, segment.base, reason);
        }
        expected = segment.end;
      }
    });
  }

  /** Derives the boundaries of a segment without a valid header from its neighbors and its name. Returns its end. */
  #boundUnreadable(segments: Segment[], i: number, expected: LogBoundary): LogBoundary {
    const { base, storeName } = segments[i];
    const next = segments.at(i + 1);
    const begin = { ...expected, offset: base.offset };
    const end = !next ? begin : next.unreadable ? { ...expected, offset: next.base.offset } : next.base;
    segments[i] = Segment.unreadable(begin, end);
    this.#addQuarantine(storeName, expected, next && end, `the header of ${storeName} is damaged`);
    return end;
  }

  #notify(notice: LogNotice): void {
    this.settings.onNotice(notice);
  }

  /**
   * Makes what was found durable. The previous process may have ended because of a failed sync. The kernel then treats
   * pages as clean that never reached the disk, and a sync alone would succeed without writing them: so everything not
   * known to be synced is rewritten.
   */
  async #makeDurable(activeFile: File, segment: Segment): Promise<void> {
    if (this.#quarantine.atEnd(segment.base.index) === undefined) await this.#rewriteUnsynced(activeFile, segment);
    await activeFile.sync();
    await this.directory.sync();
  }

  async #rewriteUnsynced(file: File, { storeName, base, index, end, length }: Segment): Promise<void> {
    const unsynced = (this.#syncedKnown ? this.#durableIndex + 1 : 0) as Index;
    if (index === undefined || unsynced >= end.index) return;
    const entry = index.floorIndex(unsynced);
    const from = entry === -1 ? { ...base, position: firstBatchPosition } : index.entry(entry);
    try {
      for (let at: number = from.position; at < length; at += rewriteBytesMax) {
        const bytes = await tryTwice(() => file.read(at, Math.min(rewriteBytesMax, length - at)));
        await file.write(at, [bytes]);
      }
    } catch (error) {
      if (!(error instanceof UnreadableError)) throw error;
      this.#addQuarantine(storeName, { ...base, ...from }, end, 'unreadable since it was scanned');
    }
  }
}

function unreadable(base: Offset): Segment {
  const boundary = { ...logOrigin, offset: base };
  return Segment.unreadable(boundary, boundary);
}
