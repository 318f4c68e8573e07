import type { Entry } from './entry.js';
import type { HardState } from './hard-state.js';
import type { Message } from './message.js';
import type { Snapshot } from './snapshot.js';

/** The role of a node (Raft figure 4; pre-candidates are thesis §9.6). */
export type RaftState = 'StateFollower' | 'StateCandidate' | 'StateLeader' | 'StatePreCandidate';

/** Volatile state that is useful to report. */
export interface SoftState {
  /** 0 means unknown. */
  readonly lead: number;
  readonly raftState: RaftState;
}

/** The result of a `readIndex`: once `index` is applied, the read of `requestContext` may be served. */
export interface ReadState {
  readonly index: number;
  readonly requestContext: Uint8Array;
}

/**
 * The outstanding work of a core. Without asynchronous writes: first make `entries`, `hardState` and `snapshot`
 * durable, then send `messages`, apply `snapshot` and `committedEntries`, then call `advance`. With them: deliver every
 * message to its address, at once and in order; the other fields repeat the contents of the messages to the storage
 * threads.
 */
export interface Ready {
  /** Undefined if unchanged since the last Ready. */
  readonly softState: SoftState | undefined;
  /** Undefined if unchanged since the last Ready. */
  readonly hardState: HardState | undefined;
  readonly readStates: readonly ReadState[];
  /** The entries to append; they replace stored entries from the first index on. */
  readonly entries: readonly Entry[];
  /** A snapshot that replaces log and state before `entries` are appended. */
  readonly snapshot: Snapshot | undefined;
  /**
   * The entries to apply, in order. With asynchronous writes, a later snapshot may be applied first: then skip the
   * entries that it covers, including configuration changes.
   */
  readonly committedEntries: readonly Entry[];
  readonly messages: readonly Message[];
  /** True if this must be synced before it counts as durable; otherwise an unsynced write is enough. */
  readonly mustSync: boolean;
}
