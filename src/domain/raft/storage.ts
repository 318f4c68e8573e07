import type { ConfState } from './conf-state.js';
import type { Entry } from './entry.js';
import type { HardState } from './hard-state.js';
import type { Snapshot } from './snapshot.js';

/** The index is before the first entry kept: a snapshot covers it. */
export class CompactedError extends Error {
  override readonly name = 'CompactedError';

  constructor() {
    super('requested index is unavailable due to compaction');
  }
}

/** The index is behind the last entry. */
export class EntriesUnavailableError extends Error {
  override readonly name = 'EntriesUnavailableError';

  constructor() {
    super('requested entry at index is unavailable');
  }
}

/** A snapshot is being made: ask again later. */
export class SnapshotTemporarilyUnavailableError extends Error {
  override readonly name = 'SnapshotTemporarilyUnavailableError';

  constructor() {
    super('snapshot is temporarily unavailable');
  }
}

/** The snapshot is not newer than the one that the storage has. */
export class SnapshotOutOfDateError extends Error {
  override readonly name = 'SnapshotOutOfDateError';

  constructor() {
    super('requested index is older than the existing snapshot');
  }
}

/**
 * What is durable, as the core reads it. Synchronous: the driver keeps in memory what the core may ask for. The core
 * never writes: the driver stores what `Ready` holds. Anything thrown but the named errors ends the core.
 */
export interface Storage {
  /** Read once, when a core starts. */
  initialState(): { readonly hardState: HardState; readonly confState: ConfState };
  /**
   * The entries of [lo, hi), cut to `maxSize` bytes by `entrySize` but never to none. Throws CompactedError and
   * EntriesUnavailableError.
   */
  entries(lo: number, hi: number, maxSize: number): readonly Entry[];
  /**
   * The term of the entry at `index`, known for [firstIndex - 1, lastIndex]. Throws CompactedError and
   * EntriesUnavailableError.
   */
  term(index: number): number;
  lastIndex(): number;
  /**
   * The first index that `entries` can serve; older ones are in the snapshot. Only entries that the core knows to be
   * applied may be compacted, and only when the durable commit index covers them.
   */
  firstIndex(): number;
  /** The newest snapshot. Throws SnapshotTemporarilyUnavailableError when it is being made. */
  snapshot(): Snapshot;
}
