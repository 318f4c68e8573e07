import type { Entry } from './entry.js';
import type { HardState } from './hard-state.js';
import type { Message } from './message.js';
import type { Snapshot } from './snapshot.js';

/** The role of a node (Raft figure 4; pre-candidates are thesis §9.6). */
export type RaftState = 'StateFollower' | 'StateCandidate' | 'StateLeader' | 'StatePreCandidate';

/** What is worth telling but need not be durable. */
export interface SoftState {
  /** 0: unknown. */
  readonly lead: number;
  readonly raftState: RaftState;
}

/** The answer to a `readIndex`: whoever has applied up to `index` may serve the read of `requestContext`. */
export interface ReadState {
  readonly index: number;
  readonly requestContext: Uint8Array;
}

/**
 * The work a core asks for. Without asynchronous writes: first make `entries`, `hardState` and `snapshot` durable, then
 * send `messages`, apply `snapshot` and `committedEntries`, then `advance`. With them: hand every message to whom it is
 * addressed, at once and in order; the other fields repeat what the messages to the storage threads say.
 */
export interface Ready {
  /** Undefined: as in the last Ready. */
  readonly softState: SoftState | undefined;
  /** Undefined: as in the last Ready. */
  readonly hardState: HardState | undefined;
  readonly readStates: readonly ReadState[];
  /** To be appended; they replace what the storage has from the first index on. */
  readonly entries: readonly Entry[];
  /** To replace log and state before `entries` are appended. */
  readonly snapshot: Snapshot | undefined;
  /**
   * To be applied, in order. With asynchronous writes a later snapshot may be applied before these are: then skip what
   * it covers, configuration changes too.
   */
  readonly committedEntries: readonly Entry[];
  readonly messages: readonly Message[];
  /** Whether this must be synced before it counts as durable; otherwise a write that a crash may lose is enough. */
  readonly mustSync: boolean;
}
