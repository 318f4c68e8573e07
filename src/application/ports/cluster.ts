import type { Index, Offset, Term } from '../../domain/log/offsets.js';
import type { GossipMember } from './gossip.js';

export type MemberRole = 'leader' | 'voter' | 'learner';

/**
 * How a leader's copy to a member goes: `probing` for where the logs meet, `replicating`, `catching-up` from stored
 * segments, or `unreachable` when nothing was heard for an election timeout. `unknown` where the node asked leads not.
 */
export type MemberState = 'self' | 'probing' | 'replicating' | 'catching-up' | 'unreachable' | 'unknown';

export interface MemberStatus {
  /** The Raft id: never reused. */
  readonly id: number;
  readonly name: string;
  /** UUID of the member's data directory; empty until it has joined. */
  readonly uuid: string;
  readonly rpcAddr: string;
  readonly role: MemberRole;
  readonly state: MemberState;
  /** The last index known to be on the member's disk; undefined where the node asked does not lead. */
  readonly matchIndex?: Index;
  /** Entries between that and the leader's last. */
  readonly lagEntries?: number;
  /** Since the member was last heard from; undefined: never, or the node asked does not lead. */
  readonly heardMsAgo?: number;
}

/** A `GossipMember` for whoever asks. */
export interface GossipView extends Omit<GossipMember, 'tags'> {
  readonly tags: Readonly<Record<string, string>>;
}

/** The cluster as one node sees it. */
export interface ClusterStatus {
  /** UUID of the log that the cluster keeps. */
  readonly clusterId: string;
  /** Name of the node that answers. */
  readonly answeredBy: string;
  readonly term: Term;
  /** Name of the leader, as far as is known. */
  readonly leader?: string;
  readonly commitIndex: Index;
  readonly lastIndex: Index;
  readonly highWatermark: Offset;
  /** By id, ascending. */
  readonly members: readonly MemberStatus[];
  /** Why nothing commits, for an operator, such as "n2 unreachable for 8 s; 1 of 3 voters synced, need 2". */
  readonly problem?: string;
  /** By name, ascending; undefined where the node asked is in no gossip. */
  readonly gossip?: readonly GossipView[];
}

/** A change of the membership that cannot be, as the cluster is: the message says why. Nothing was changed. */
export class MembershipError extends Error {
  override readonly name = 'MembershipError';
}

/**
 * Administration of the cluster: the inbound port of `golog.v1.ClusterService`. Each call may be made at any node. They
 * reject with `UnavailableError` (no leader; retryable), `MembershipError`, `OutcomeUnknownError`, or the signal's reason.
 */
export interface Cluster {
  /** As the leader sees it; as this node does where there is no leader, or `local` is asked for. */
  status(options: { readonly signal: AbortSignal; readonly local?: boolean }): Promise<ClusterStatus>;
  /**
   * Registers a node as a learner; it is promoted when it has caught up. It must be started with
   * `--start-join-addrs`. Resolves when the change is committed.
   */
  addMember(member: { readonly name: string; readonly rpcAddr: string }, signal: AbortSignal): Promise<void>;
  /** Makes a learner a voter. `MembershipError` while it lags. */
  promoteMember(name: string, signal: AbortSignal): Promise<void>;
  /** Takes a member out; the leader hands over first if it is the one. Resolves when the change is committed. */
  removeMember(name: string, signal: AbortSignal): Promise<void>;
  /** Hands leadership to a voter (default: the most advanced other one). Resolves with its name when it leads. */
  transferLeadership(name: string | undefined, signal: AbortSignal): Promise<string>;
  /**
   * The same for a call that a peer has forwarded: it goes no further, so that two nodes that each take the other for the
   * leader do not pass it to and fro. Left out where nothing is ever forwarded.
   */
  readonly forwarded?: Cluster;
}

export const Cluster = Symbol('Cluster');
