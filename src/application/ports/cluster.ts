import type { Index, Offset, Term } from '../../domain/log/offsets.js';
import type { ClusterSettings, SettingsChange } from '../configuration/cluster-settings.js';
import type { GossipMember } from './gossip.js';

export type MemberRole = 'leader' | 'voter' | 'learner';

/**
 * The state of a leader's replication to a member: `probing` for the last entry that the logs share, `replicating`,
 * `catching-up` from stored segments, or `unreachable` after an election timeout without a message. `unknown` if the
 * node asked does not lead.
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
  /** The last index known to be on the member's disk; undefined if the node asked does not lead. */
  readonly matchIndex?: Index;
  /** Entries between `matchIndex` and the leader's last. */
  readonly lagEntries?: number;
  /** Milliseconds since the member was last heard from; undefined: never, or the node asked does not lead. */
  readonly heardMsAgo?: number;
  /** The feature level that its release offers; undefined: not known to the node asked. */
  readonly featureLevel?: number;
}

/** A `GossipMember` in the form that callers see. */
export interface GossipView extends Omit<GossipMember, 'tags'> {
  readonly tags: Readonly<Record<string, string>>;
}

/** How far a node is with reading its sealed segments through, and what is damaged there. */
export interface ScrubStatus {
  /** Bytes of the sealed segments that the current pass has read. */
  readonly checkedBytes: number;
  readonly totalBytes: number;
  readonly bytesPerSecond: number;
  /** When the last whole pass ended: milliseconds since 1970; undefined: there was none. */
  readonly completedAtMs?: number;
  /** The damaged ranges that are known, the first of them if there are many; `to` exclusive. */
  readonly damaged: readonly { readonly from: Offset; readonly to: Offset; readonly reason: string }[];
  /** How far the repair is, or what prevents it. */
  readonly repair?: string;
}

/** The cluster as one node sees it. */
export interface ClusterStatus {
  /** UUID of the log that the cluster stores. */
  readonly clusterId: string;
  /** Name of the node that answers. */
  readonly answeredBy: string;
  readonly term: Term;
  /** Name of the leader, if known. */
  readonly leader?: string;
  readonly commitIndex: Index;
  readonly lastIndex: Index;
  readonly highWatermark: Offset;
  /** By id, ascending. */
  readonly members: readonly MemberStatus[];
  readonly settings: ClusterSettings;
  /** What is wrong and what to do, for an operator; see `docs/states.md`. */
  readonly problem?: string;
  /** The log of the node that answers; undefined: it does not read it through now. */
  readonly scrub?: ScrubStatus;
  /** By name, ascending; undefined if the node asked uses no gossip. */
  readonly gossip?: readonly GossipView[];
}

/** The cluster does not permit this configuration change now; the message says why. Nothing was changed. */
export class MembershipError extends Error {
  override readonly name = 'MembershipError';
}

/** The cluster is at an earlier feature level than the call needs: a member runs an older release. Nothing was changed. */
export class FeatureNotEnabledError extends Error {
  override readonly name = 'FeatureNotEnabledError';
  constructor(
    readonly neededLevel: number,
    readonly featureLevel: number,
  ) {
    super(
      `the cluster is at feature level ${featureLevel}, and this needs level ${neededLevel}: ` +
        'start every member with this release; the leader then raises the level',
    );
  }
}

/** @throws FeatureNotEnabledError */
export function assertFeatureLevel({ featureLevel = 0 }: ClusterSettings, neededLevel: number): void {
  if (featureLevel < neededLevel) throw new FeatureNotEnabledError(neededLevel, featureLevel);
}

/**
 * Administration of the cluster: the inbound port of `golog.v1.ClusterService`. Every node accepts each call. Calls
 * reject with `UnavailableError` (no leader; retryable), `MembershipError`, `OutcomeUnknownError`, or the signal's
 * reason.
 */
export interface Cluster {
  /** Returns the leader's view of the cluster, or this node's own if there is no leader or `local` is set. */
  status(options: { readonly signal: AbortSignal; readonly local?: boolean }): Promise<ClusterStatus>;
  /**
   * Registers a node as a learner; it is promoted when it has caught up. The node must be started with
   * `--start-join-addrs`. Resolves when the change is committed.
   */
  addMember(member: { readonly name: string; readonly rpcAddr: string }, signal: AbortSignal): Promise<void>;
  /** Makes a learner a voter. Rejects with `MembershipError` while it lags. */
  promoteMember(name: string, signal: AbortSignal): Promise<void>;
  /**
   * Removes a member; a leader that is to be removed transfers leadership first. Resolves when the change is committed.
   */
  removeMember(name: string, signal: AbortSignal): Promise<void>;
  /** Transfers leadership to a voter (default: the most advanced other one). Resolves with its name when it leads. */
  transferLeadership(name: string | undefined, signal: AbortSignal): Promise<string>;
  /**
   * Changes settings. Resolves with all of them when the change is committed. Rejects with `FeatureNotEnabledError`, or
   * with `InvalidInputError` if the log would start after its end.
   */
  changeSettings(change: SettingsChange, signal: AbortSignal): Promise<ClusterSettings>;
  /**
   * The same for a call that a peer has forwarded: it is not forwarded again, so that two nodes that each consider the
   * other the leader do not forward it back and forth. Left out if nothing is ever forwarded.
   */
  readonly forwarded?: Cluster;
}

export const Cluster = Symbol('Cluster');
