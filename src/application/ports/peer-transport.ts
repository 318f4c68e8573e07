import type { Records } from '../../domain/log/record-batch.js';
import type { Message } from '../../domain/raft/message.js';
import type { ClusterSettings } from '../configuration/cluster-settings.js';
import type { Cluster } from './cluster.js';
import type { PassedNote } from './vouching.js';
import type { AppendReceipt, Producers, ProposeOptions } from './consensus.js';

/** A member as its peers reach it. */
export interface Peer {
  /** Its Raft id. */
  readonly id: number;
  /** HOST:PORT of its gRPC in the configuration. */
  readonly rpcAddr: string;
  /** Other HOST:PORTs where it may be. They are hints: a node that answers there must prove that it is the member. */
  readonly seenAt?: readonly string[];
  /** The UUID of its data directory; empty if unknown. */
  readonly uuid?: string;
  /** Its `--node-name`, if known. */
  readonly name?: string;
}

/** A Raft message between nodes, with what its sender has seen of the members. */
export interface PeerMessage extends Message {
  readonly notes?: readonly PassedNote[];
}

/** Handles what peers send to this node. */
export interface PeerReceiver {
  /** The settings as this node knows them; callers and peers that do not fit them are refused. */
  readonly settings?: Pick<ClusterSettings, 'featureLevel' | 'generation'>;
  /** A peer says that the cluster has a later generation of the log than this node. */
  superseded?(generation: number): void;
  /** Handles a Raft message to this node; messages arrive in the order of their lane. Must not throw. */
  receive(message: PeerMessage): void;
  /**
   * Reports that messages to the member may be lost, because it has no link or its queue is full. Called at least once
   * per loss.
   */
  unreachable(id: number): void;
  /** Appends what a follower has forwarded to this node; never forwards it again. As `Consensus.propose`. */
  appendForwarded(records: Records, options: ProposeOptions): Promise<AppendReceipt>;
  /** Opens and closes producers at this node as the leader, for a node that has forwarded the call. */
  readonly producersForwarded: Producers;
}

/**
 * Links to the other members of the cluster. A message arrives at most once, in order with the others of its lane to
 * the same member, or not at all: Raft needs no more. Control messages (votes, heartbeats, responses) and bulk messages
 * (appends and snapshots) use separate lanes, so that no heartbeat waits for data.
 */
export interface PeerTransport {
  /** Starts delivering to `receiver`, for `self`. Called once, before all other methods. */
  start(self: Peer, receiver: PeerReceiver): void;
  /**
   * Sets the peers, replacing the previous ones: links to others are closed. A member is dialed at all its addresses at
   * once, and at the one that it has called from. The first that proves its UUID, its Raft id and its cluster is used
   * until it breaks, or until `rpcAddr` changes to another address. A member outside the set that has sent this node
   * something and was not removed is still answered at the address that it names: a lagging node does not know yet which
   * node leads or votes (Raft §6: servers accept requests from servers outside their configuration).
   */
  setPeers(peers: readonly Peer[]): void;
  /**
   * Sends each message to its `to`. Never waits and never throws: a message without a link or queue space is dropped,
   * and `unreachable` is called. Every entry of a MsgApp has its `batch`.
   */
  send(messages: readonly PeerMessage[]): void;
  /**
   * Appends at a member, as the leader. Calls to one member start there in the order of these calls. Rejects as
   * `Consensus.propose`: with `UnavailableError` if the call cannot have started, with `OutcomeUnknownError` if the
   * link broke after it was sent.
   */
  append(to: number, records: Records, options: ProposeOptions): Promise<AppendReceipt>;
  /** Opens and closes producers at a member, as the leader. Calls reject as `append`, and may throw `UnavailableError`. */
  producersOf(to: number): Producers;
  /** Returns the cluster as a member sees it, and its administration at that member. */
  clusterOf(to: number): Cluster;
  /**
   * Returns for how many milliseconds no process has answered as the member at an address (HOST:PORT) that `at` accepts,
   * by default at any: 0 while one does. Counted from when there was first a link to it; Infinity without one, and where
   * no process listens at these addresses any more.
   */
  unansweredMs(id: number, at?: (rpcAddr: string) => boolean): number;
  /** Returns the feature level that a member offered when it last called this node; undefined: it has not called. */
  featureLevelOf(id: number): number | undefined;
  /** Closes all links. Idempotent. */
  close(): Promise<void>;
}
