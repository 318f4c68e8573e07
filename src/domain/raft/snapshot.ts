import type { ConfState } from './conf-state.js';
import { emptyConfState } from './conf-state.js';

/** The last entry a snapshot covers (inclusive), and the membership as of that entry (Raft §7). */
export interface SnapshotMetadata {
  readonly confState: ConfState;
  readonly index: number;
  readonly term: number;
}

/** A state that replaces every entry up to `metadata.index`. `data` is opaque to the core. */
export interface Snapshot {
  readonly data: Uint8Array;
  readonly metadata: SnapshotMetadata;
}

export const emptySnapshot: Snapshot = {
  data: new Uint8Array(0),
  metadata: { confState: emptyConfState, index: 0, term: 0 },
};

/** Returns true if the snapshot covers nothing, which stands for no snapshot. */
export function isEmptySnapshot(snapshot: Snapshot): boolean {
  return snapshot.metadata.index === 0;
}
