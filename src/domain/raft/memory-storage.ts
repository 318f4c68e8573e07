import type { ConfState } from './conf-state.js';
import type { Entry } from './entry.js';
import { limitEntriesSize } from './entry.js';
import type { HardState } from './hard-state.js';
import { emptyHardState } from './hard-state.js';
import type { Snapshot } from './snapshot.js';
import { emptySnapshot } from './snapshot.js';
import type { Storage } from './storage.js';
import { CompactedError, EntriesUnavailableError, SnapshotOutOfDateError } from './storage.js';

/** A storage without durability, for tests and for embedding in one process. */
export class MemoryStorage implements Storage {
  #hardState = emptyHardState;
  #snapshot = emptySnapshot;
  /** The index and term of the entry before the first one. */
  #before = { index: 0, term: 0 };
  #entries: Entry[] = [];

  initialState(): { hardState: HardState; confState: ConfState } {
    return { hardState: this.#hardState, confState: this.#snapshot.metadata.confState };
  }

  entries(lo: number, hi: number, maxSize: number): readonly Entry[] {
    if (lo < this.firstIndex()) throw new CompactedError();
    if (hi > this.lastIndex() + 1 || this.#entries.length === 0) throw new EntriesUnavailableError();
    const first = this.firstIndex();
    return limitEntriesSize(this.#entries.slice(lo - first, hi - first), maxSize);
  }

  term(index: number): number {
    if (index < this.#before.index) throw new CompactedError();
    if (index === this.#before.index) return this.#before.term;
    const entry = this.#entries[index - this.firstIndex()];
    if (entry === undefined) throw new EntriesUnavailableError();
    return entry.term;
  }

  lastIndex(): number {
    return this.#before.index + this.#entries.length;
  }

  firstIndex(): number {
    return this.#before.index + 1;
  }

  snapshot(): Snapshot {
    return this.#snapshot;
  }

  setHardState(state: HardState): void {
    this.#hardState = state;
  }

  /** Replaces the log by the snapshot. Throws SnapshotOutOfDateError when it has the same or a newer snapshot. */
  applySnapshot(snapshot: Snapshot): void {
    const { index, term } = snapshot.metadata;
    if (this.#snapshot.metadata.index >= index) throw new SnapshotOutOfDateError();
    this.#snapshot = snapshot;
    this.#before = { index, term };
    this.#entries = [];
  }

  /**
   * Creates a snapshot at `index`, an entry in the log; `confState` is the configuration at that index, or undefined if
   * unchanged. Keeps the log: see `compact`. Throws SnapshotOutOfDateError.
   */
  createSnapshot(index: number, confState: ConfState | undefined, data: Uint8Array): Snapshot {
    const { metadata } = this.#snapshot;
    if (index <= metadata.index) throw new SnapshotOutOfDateError();
    this.#snapshot = {
      data,
      metadata: { index, term: this.term(index), confState: confState ?? metadata.confState },
    };
    return this.#snapshot;
  }

  /** Drops the entries up to and including `index`. Throws CompactedError and EntriesUnavailableError. */
  compact(index: number): void {
    if (index <= this.#before.index) throw new CompactedError();
    const term = this.term(index);
    this.#entries = this.#entries.slice(index + 1 - this.firstIndex());
    this.#before = { index, term };
  }

  /** Appends entries; replaces existing entries from the first index on and ignores compacted ones. */
  append(entries: readonly Entry[]): void {
    const fresh = entries.filter(({ index }) => index >= this.firstIndex());
    const first = fresh[0];
    if (first === undefined) return;
    if (first.index > this.lastIndex() + 1) throw new EntriesUnavailableError();
    this.#entries = [...this.#entries.slice(0, first.index - this.firstIndex()), ...fresh];
  }
}
