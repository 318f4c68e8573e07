import type { Records } from '../../domain/log/record-batch.js';
import type { Message } from '../../domain/raft/message.js';
import type { Cluster } from './cluster.js';
import type { AppendReceipt, ProposeOptions } from './consensus.js';

/** A member as the others reach it. */
export interface Peer {
  /** Its Raft id. */
  readonly id: number;
  /** HOST:PORT of its gRPC, as the configuration has it. */
  readonly rpcAddr: string;
  /** Other HOST:PORTs where it may be by now. Hints: whoever answers there has to prove that it is the member. */
  readonly seenAt?: readonly string[];
  /** UUID of its data directory; empty where it is not known. */
  readonly uuid?: string;
  /** Its `--node-name`, where it is known. */
  readonly name?: string;
}

/** What a node does with what its peers send. */
export interface PeerReceiver {
  /** A Raft message to this node, in the order of its lane. Must not throw. */
  receive(message: Message): void;
  /** What was sent to the member may not have arrived: it has no link, or no room was left. Told at least once a loss. */
  unreachable(id: number): void;
  /** An append that a follower took and sends here, once: it is not forwarded again. As `Consensus.propose`. */
  appendForwarded(records: Records, options: ProposeOptions): Promise<AppendReceipt>;
}

/**
 * Links to the other members of the cluster. A message arrives at most once, in order with the others of its lane to
 * the same member, or not at all: Raft needs no more. Control messages (votes, heartbeats, answers) and
 * bulk messages (appends and snapshots) take separate lanes, so that no heartbeat waits behind data.
 */
export interface PeerTransport {
  /** Begins to deliver to `receiver`, for `self`. Called once, before all others. */
  start(self: Peer, receiver: PeerReceiver): void;
  /**
   * Who there is besides this node, replacing what was said before: links to others are closed. A member is tried at all
   * its addresses at once, and where it has called from; the first that proves its UUID, its Raft id and its cluster is
   * taken, and kept while it answers, unless `rpcAddr` changes to another one. A member that is not among them, has sent this node something and was not removed is answered where it says that it is: a node that lags
   * does not know yet who leads, or votes, today (Raft §6: servers take requests of those not in their configuration).
   */
  setPeers(peers: readonly Peer[]): void;
  /**
   * Sends each message to its `to`. Never waits and never throws: what has no link or no room is dropped, and the
   * receiver hears `unreachable`. Every entry of a MsgApp has its `batch`.
   */
  send(messages: readonly Message[]): void;
  /**
   * Has a member append, as the leader. Calls to one member begin there in the order of these calls. Rejects as
   * `Consensus.propose`: with `UnavailableError` where the call cannot have begun, with `OutcomeUnknownError` where the
   * link broke after it was sent.
   */
  append(to: number, records: Records, options: ProposeOptions): Promise<AppendReceipt>;
  /** The cluster as a member sees it, and its administration there. */
  clusterOf(to: number): Cluster;
  /**
   * For how many milliseconds no process has answered as the member, at the addresses (HOST:PORT) in question: by default
   * at any. 0 while one does. Counted from when there was first a link to the member; Infinity where there is none.
   */
  unansweredMs(id: number, at?: (rpcAddr: string) => boolean): number;
  /** Closes all links. Idempotent. */
  close(): Promise<void>;
}
