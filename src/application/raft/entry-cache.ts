import type { ConfState } from '../../domain/raft/conf-state.js';
import { type Entry, entrySize } from '../../domain/raft/entry.js';
import type { EntryId } from '../../domain/raft/entry-id.js';
import type { HardState } from '../../domain/raft/hard-state.js';
import type { Snapshot } from '../../domain/raft/snapshot.js';
import { CompactedError, EntriesUnavailableError, type Storage } from '../../domain/raft/storage.js';

export interface EntryCacheStart {
  readonly hardState: HardState;
  readonly confState: ConfState;
  /** The entry before the first. */
  readonly before: EntryId;
  readonly entries: readonly Entry[];
}

/**
 * The newest entries of the stored log, in memory: the entries that the core may ask for without waiting for the disk.
 * Applied entries may be released; a follower that needs those is served from the disk (`CatchUp`).
 */
export class EntryCache implements Storage {
  #before: EntryId;
  /** The first `#released` elements are released; the array is shortened from time to time. */
  #entries: (Entry | undefined)[] = [];
  #released = 0;
  #bytes = 0;
  #applied: number;

  constructor(private readonly start: EntryCacheStart) {
    this.#before = start.before;
    this.#applied = start.before.index;
    this.append(start.entries);
  }

  /** Data bytes of the entries held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The last entry that the core knows to be applied. */
  get applied(): number {
    return this.#applied;
  }

  initialState(): { hardState: HardState; confState: ConfState } {
    return this.start;
  }

  entries(lo: number, hi: number, maxSize: number): readonly Entry[] {
    if (lo < this.firstIndex()) throw new CompactedError();
    if (hi > this.lastIndex() + 1) throw new EntriesUnavailableError();
    const found: Entry[] = [];
    let size = 0;
    for (let index = lo; index < hi; index++) {
      const entry = this.#at(index);
      size += entrySize(entry);
      if (size > maxSize && found.length > 0) break;
      found.push(entry);
    }
    return found;
  }

  term(index: number): number {
    if (index < this.#before.index) throw new CompactedError();
    if (index === this.#before.index) return this.#before.term;
    if (index > this.lastIndex()) throw new EntriesUnavailableError();
    return this.#at(index).term;
  }

  lastIndex(): number {
    return this.#before.index + this.#entries.length - this.#released;
  }

  firstIndex(): number {
    return this.#before.index + 1;
  }

  /** Names the index from which a follower can be served from memory; `CatchUp` transfers the content. */
  snapshot(): Snapshot {
    const index = this.#applied;
    return { data: new Uint8Array(0), metadata: { index, term: this.term(index), confState: this.start.confState } };
  }

  /** Adds entries that are now durable; they replace what was there from the first one's index on. */
  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.index < this.firstIndex()) continue;
      if (entry.index > this.lastIndex() + 1) throw new EntriesUnavailableError();
      while (this.lastIndex() >= entry.index) this.#bytes -= this.#entries.pop()?.data.length ?? 0;
      this.#entries.push(entry);
      this.#bytes += entry.data.length;
    }
  }

  /** Everything up to `applied` is applied: releases its oldest entries until at most `bytesMax` remain. */
  release(applied: number, bytesMax: number): void {
    this.#applied = applied;
    while (this.#bytes > bytesMax && this.#before.index < applied) this.#releaseFirst();
    this.#shrink();
  }

  /** The log now starts at this index, and everything before it is applied: releases what precedes it. */
  forgetBefore(startIndex: number): void {
    while (this.firstIndex() < startIndex) this.#releaseFirst();
    this.#shrink();
  }

  /** The log starts again after this entry. */
  reset(before: EntryId): void {
    this.#before = before;
    this.#applied = before.index;
    this.#entries = [];
    this.#released = 0;
    this.#bytes = 0;
  }

  #releaseFirst(): void {
    const { index, term, data } = this.#at(this.firstIndex());
    this.#entries[this.#released++] = undefined;
    this.#bytes -= data.length;
    this.#before = { index, term };
  }

  #shrink(): void {
    if (this.#released <= 1024 || this.#released <= this.#entries.length / 2) return;
    this.#entries = this.#entries.slice(this.#released);
    this.#released = 0;
  }

  #at(index: number): Entry {
    const entry = this.#entries[this.#released + index - this.firstIndex()];
    if (entry === undefined) throw new EntriesUnavailableError();
    return entry;
  }
}
