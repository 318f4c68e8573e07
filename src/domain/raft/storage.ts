import type { ConfState } from './conf-state.js';
import type { Entry } from './entry.js';
import type { HardState } from './hard-state.js';
import type { Snapshot } from './snapshot.js';

/** The index is before the first entry in the log: a snapshot covers it. */
export class CompactedError extends Error {
  override readonly name = 'CompactedError';

  constructor() {
    super('requested index is unavailable due to compaction');
  }
}

/** The index is after the last entry. */
export class EntriesUnavailableError extends Error {
  override readonly name = 'EntriesUnavailableError';

  constructor() {
    super('requested entry at index is unavailable');
  }
}

/** A snapshot is being created: the caller must retry later. */
export class SnapshotTemporarilyUnavailableError extends Error {
  override readonly name = 'SnapshotTemporarilyUnavailableError';

  constructor() {
    super('snapshot is temporarily unavailable');
  }
}

/** The snapshot is not newer than the one in the storage. */
export class SnapshotOutOfDateError extends Error {
  override readonly name = 'SnapshotOutOfDateError';

  constructor() {
    super('requested index is older than the existing snapshot');
  }
}

/**
 * The core's read access to the durable state. Synchronous: the driver keeps in memory what the core may read. The core
 * never writes: the driver stores the contents of `Ready`. Any error other than the documented ones is fatal to the
 * core.
 */
export interface Storage {
  /** Called once, when a core starts. */
  initialState(): { readonly hardState: HardState; readonly confState: ConfState };
  /**
   * Returns the entries of [lo, hi), limited to `maxSize` bytes by `entrySize`, but at least one. Throws CompactedError
   * and EntriesUnavailableError.
   */
  entries(lo: number, hi: number, maxSize: number): readonly Entry[];
  /**
   * Returns the term of the entry at `index`, known for [firstIndex - 1, lastIndex]. Throws CompactedError and
   * EntriesUnavailableError.
   */
  term(index: number): number;
  lastIndex(): number;
  /**
   * Returns the first index that `entries` can serve; the snapshot covers older ones. The driver may compact only
   * entries that the core knows to be applied and that the durable commit index covers.
   */
  firstIndex(): number;
  /** Returns the newest snapshot. Throws SnapshotTemporarilyUnavailableError while it is being created. */
  snapshot(): Snapshot;
}
