import type { Entry } from './entry.js';
import { entriesSize, limitEntriesSize } from './entry.js';
import type { EntryId } from './entry-id.js';
import type { RaftLogger } from './raft-logger.js';
import { panic } from './raft-logger.js';
import type { Snapshot } from './snapshot.js';
import type { Storage } from './storage.js';
import { CompactedError, EntriesUnavailableError } from './storage.js';
import { Unstable } from './unstable.js';

/**
 * The log of one node (Raft §5.3): the storage, then the unstable entries.
 *
 * Invariant: applied ≤ applying ≤ committed ≤ lastIndex.
 */
export class RaftLog {
  readonly unstable: Unstable;
  #committed: number;
  #applying: number;
  #applied: number;
  /** The size of the entries that are being applied. */
  #applyingBytes = 0;
  #applyingPaused = false;

  /** `applyingBytesMax` bounds the size of the entries being applied, but always allows one entry. */
  constructor(
    private readonly storage: Storage,
    private readonly logger: RaftLogger,
    private readonly applyingBytesMax: number,
  ) {
    const start = storage.firstIndex() - 1;
    this.unstable = new Unstable(storage.lastIndex() + 1, logger);
    this.#committed = start;
    this.#applying = start;
    this.#applied = start;
  }

  /** The highest index known to be on a quorum. */
  get committed(): number {
    return this.#committed;
  }

  /** The highest index that was returned to be applied. */
  get applying(): number {
    return this.#applying;
  }

  get applied(): number {
    return this.#applied;
  }

  get firstIndex(): number {
    return this.unstable.firstIndex ?? this.storage.firstIndex();
  }

  get lastIndex(): number {
    return this.unstable.lastIndex ?? this.storage.lastIndex();
  }

  get lastEntryId(): EntryId {
    const index = this.lastIndex;
    const term = this.term(index);
    if (term === undefined) panic(`unexpected error when getting the last term at ${index}`);
    return { term, index };
  }

  /** Returns the term of an entry; undefined if it is compacted or past the end. */
  term(index: number): number | undefined {
    const unstable = this.unstable.term(index);
    if (unstable !== undefined) return unstable;
    // The term of the entry before the first is still known: appends of the first entry match against it.
    if (index + 1 < this.firstIndex || index > this.lastIndex) return undefined;
    try {
      return this.storage.term(index);
    } catch (error) {
      if (error instanceof CompactedError || error instanceof EntriesUnavailableError) return undefined;
      throw error;
    }
  }

  matches(id: EntryId): boolean {
    return this.term(id.index) === id.term;
  }

  /** Returns true if a log that ends with `theirs` is at least as up-to-date as this one (Raft §5.4.1). */
  isUpToDate(theirs: EntryId): boolean {
    const ours = this.lastEntryId;
    return theirs.term > ours.term || (theirs.term === ours.term && theirs.index >= ours.index);
  }

  /** Returns entries from `index` on, up to `maxSize` but at least one if there is one; undefined if compacted. */
  entries(index: number, maxSize: number): readonly Entry[] | undefined {
    return index > this.lastIndex ? [] : this.slice(index, this.lastIndex + 1, maxSize);
  }

  /**
   * Returns the entries of [lo, hi), up to `maxSize`; undefined if `lo` is compacted. Panics if another entry is
   * missing.
   */
  slice(lo: number, hi: number, maxSize: number): readonly Entry[] | undefined {
    if (lo > hi) panic(`invalid slice ${lo} > ${hi}`);
    if (lo < this.firstIndex) return undefined;
    if (hi > this.lastIndex + 1) panic(`slice[${lo},${hi}) out of bound [${this.firstIndex},${this.lastIndex}]`);
    if (lo === hi) return [];
    const offset = this.unstable.offset;
    if (lo >= offset) return limitEntriesSize(this.unstable.slice(lo, hi), maxSize);

    const cut = Math.min(hi, offset);
    const stable = this.#stored(lo, cut, maxSize);
    if (stable === undefined || hi <= offset || stable.length < cut - lo) return stable;
    const rest = maxSize - entriesSize(stable);
    if (rest <= 0) return stable;
    const unstable = limitEntriesSize(this.unstable.slice(offset, hi), rest);
    // A slice returns its first entry whatever the limit, but this one is not the first of the result.
    return entriesSize(unstable) > rest ? stable : [...stable, ...unstable];
  }

  /** Returns true if the predicate holds for an entry of [lo, hi); reads `pageSize` bytes at a time. */
  some(lo: number, hi: number, pageSize: number, predicate: (entry: Entry) => boolean): boolean {
    for (let from = lo; from < hi;) {
      const page = this.slice(from, hi, pageSize) ?? [];
      if (page.length === 0) panic(`error scanning entries [${from}, ${hi}): compacted`);
      if (page.some(predicate)) return true;
      from += page.length;
    }
    return false;
  }

  /**
   * Appends a leader's entries (Raft figure 2, AppendEntries 2–5). Returns the last index that now matches the leader's
   * log, or undefined when the previous entry does not match.
   */
  maybeAppend(previous: EntryId, entries: readonly Entry[], leaderCommit: number): number | undefined {
    if (!this.matches(previous)) return undefined;
    const last = previous.index + entries.length;
    const conflict = this.#conflict(entries);
    if (conflict !== undefined) {
      if (conflict <= this.#committed) {
        panic(`entry ${conflict} conflict with committed entry [committed(${this.#committed})]`);
      }
      this.append(entries.slice(conflict - previous.index - 1));
    }
    this.commitTo(Math.min(leaderCommit, last));
    return last;
  }

  /** Appends entries and returns the last index. */
  append(entries: readonly Entry[]): number {
    const first = entries[0];
    if (first === undefined) return this.lastIndex;
    if (first.index - 1 < this.#committed)
      panic(`after(${first.index - 1}) is out of range [committed(${this.#committed})]`);
    if (!Number.isSafeInteger(first.index + entries.length)) panic(`index ${first.index} is not a safe integer`);
    this.unstable.truncateAndAppend(entries);
    return this.lastIndex;
  }

  /**
   * Returns the last entry at or before `index` whose term is at most `term`: the highest possible match with a log
   * that has that term at `index` (Raft §5.3, the optimization). Term 0 means that the entry is compacted.
   */
  findConflictByTerm(index: number, term: number): EntryId {
    for (let at = index; at > 0; at -= 1) {
      const ours = this.term(at);
      if (ours === undefined) return { term: 0, index: at };
      if (ours <= term) return { term: ours, index: at };
    }
    return { term: 0, index: 0 };
  }

  /** Commits up to an entry of the leader's own term (Raft §5.4.2); returns whether the commit index advanced. */
  maybeCommit(at: EntryId): boolean {
    if (at.term === 0 || at.index <= this.#committed || !this.matches(at)) return false;
    this.commitTo(at.index);
    return true;
  }

  /** Raises the commit index to `index`; never lowers it. */
  commitTo(index: number): void {
    if (index <= this.#committed) return;
    if (index > this.lastIndex) {
      panic(
        `tocommit(${index}) is out of range [lastIndex(${this.lastIndex})]. Was the raft log corrupted, truncated, or lost?`,
      );
    }
    this.#committed = index;
  }

  appliedTo(index: number, bytes: number): void {
    if (index > this.#committed || index < this.#applied) {
      panic(`applied(${index}) is out of range [prevApplied(${this.#applied}), committed(${this.#committed})]`);
    }
    this.#applied = index;
    this.#applying = Math.max(this.#applying, index);
    this.#applyingBytes = Math.max(this.#applyingBytes - bytes, 0);
    this.#applyingPaused = this.#applyingBytes >= this.applyingBytesMax;
  }

  /** Records that the entries up to `index`, with a size of `bytes`, were returned to be applied. */
  acceptApplying(index: number, bytes: number, allowUnstable: boolean): void {
    if (index > this.#committed) {
      panic(`applying(${index}) is out of range [prevApplying(${this.#applying}), committed(${this.#committed})]`);
    }
    this.#applying = index;
    this.#applyingBytes += bytes;
    // Fewer entries were returned than are committed: the next one would have exceeded the limit.
    this.#applyingPaused =
      this.#applyingBytes >= this.applyingBytesMax || index < this.#maxAppliableIndex(allowUnstable);
  }

  /**
   * Returns the committed entries to apply next; includes entries that are not durable yet only with `allowUnstable`.
   */
  nextCommittedEntries(allowUnstable: boolean): readonly Entry[] {
    if (!this.hasNextCommittedEntries(allowUnstable)) return [];
    const bytesLeft = this.applyingBytesMax - this.#applyingBytes;
    const entries = this.slice(this.#applying + 1, this.#maxAppliableIndex(allowUnstable) + 1, bytesLeft);
    return entries ?? panic(`unexpected error when getting unapplied entries from ${this.#applying + 1}: compacted`);
  }

  hasNextCommittedEntries(allowUnstable: boolean): boolean {
    // A snapshot is applied before the entries after it.
    if (this.#applyingPaused || this.unstable.snapshot !== undefined) return false;
    return this.#applying < this.#maxAppliableIndex(allowUnstable);
  }

  get hasUnstableSnapshot(): boolean {
    return this.unstable.snapshot !== undefined;
  }

  /** Throws SnapshotTemporarilyUnavailableError. */
  snapshot(): Snapshot {
    return this.unstable.snapshot ?? this.storage.snapshot();
  }

  stableTo(id: EntryId): void {
    this.unstable.stableTo(id);
  }

  /** Replaces the whole log by the snapshot (Raft §7). */
  restore(snapshot: Snapshot): void {
    const { index, term } = snapshot.metadata;
    this.logger.info(`log [${this.describe()}] starts to restore snapshot [index: ${index}, term: ${term}]`);
    this.#committed = index;
    this.unstable.restore(snapshot);
  }

  describe(): string {
    const { offset, offsetInProgress, length } = this.unstable;
    return (
      `committed=${this.#committed}, applied=${this.#applied}, applying=${this.#applying}, ` +
      `unstable.offset=${offset}, unstable.offsetInProgress=${offsetInProgress}, len(unstable.Entries)=${length}`
    );
  }

  #maxAppliableIndex(allowUnstable: boolean): number {
    return allowUnstable ? this.#committed : Math.min(this.#committed, this.unstable.offset - 1);
  }

  /** Returns the first index at which the entries differ from the log or extend it. */
  #conflict(entries: readonly Entry[]): number | undefined {
    const first = entries.find((entry) => !this.matches(entry));
    if (first !== undefined && first.index <= this.lastIndex) {
      const existing = this.term(first.index) ?? 0;
      this.logger.info(
        `found conflict at index ${first.index} [existing term: ${existing}, conflicting term: ${first.term}]`,
      );
    }
    return first?.index;
  }

  #stored(lo: number, hi: number, maxSize: number): readonly Entry[] | undefined {
    try {
      return this.storage.entries(lo, hi, maxSize);
    } catch (error) {
      if (error instanceof CompactedError) return undefined;
      if (error instanceof EntriesUnavailableError) panic(`entries[${lo}:${hi}) is unavailable from storage`);
      throw error;
    }
  }
}
