import type { Crc32c } from '../../domain/log/checksum.js';
import type { Log } from '../../domain/log/log.js';
import type { BatchChecksum } from '../../domain/log/record-batch.js';
import type { Retention } from '../../domain/log/retention.js';
import type { Cluster } from '../ports/cluster.js';
import type { CommitLog } from '../ports/commit-log.js';
import type { Clock } from '../ports/clock.js';
import type { DataDirectory } from '../ports/data-directory.js';
import type { EntryHandler, EntrySource } from '../ports/entry-source.js';
import type { Gossip } from '../ports/gossip.js';
import type { JoinHandler, JoinTransport } from '../ports/join-transport.js';
import type { Logger } from '../ports/logger.js';
import type { PeerTransport } from '../ports/peer-transport.js';
import type { Readiness } from '../ports/readiness.js';
import type { VouchHandler } from '../ports/vouching.js';
import type { ReplicaHandler, ReplicaUplink } from '../ports/replica-uplink.js';
import type { RaftNode } from '../raft/raft-node.js';
import type { RaftTiming } from '../raft/raft-options.js';

/** The operator's settings for a node, whether a member or a replica. */
export interface NodeSettings {
  readonly name: string;
  /** HOST:PORT where its peers reach it. */
  readonly rpcAddr: string;
  /** HOST:PORT of Connect, gRPC-Web and JSON. */
  readonly httpAddr: string;
  /** The version of golog. */
  readonly version: string;
  /** HOST:PORT of the gossip of nodes to contact first. */
  readonly startJoinAddrs: readonly string[];
  /** Disk space that appends leave free, in bytes. */
  readonly diskReserveBytes: number;
  readonly retention: Retention;
  /** See `LogOptions`. */
  readonly segmentBytesMax?: number;
  /** How fast sealed segments are read through; undefined: all of them once a week. */
  readonly scrubBytesPerSecond?: number | undefined;
}

export interface MemberSettings extends NodeSettings {
  /** Bootstraps a cluster of one, unless `startJoinAddrs` lead to a cluster. */
  readonly bootstrap: boolean;
  /** Bootstraps a cluster with this many nodes that wait for each other; 0: joins one. */
  readonly bootstrapExpect: number;
  readonly timing: RaftTiming;
  /** Removes a member that is silent for this long; 0: never. */
  readonly deadMemberTimeoutMs: number;
}

/**
 * Accepts client calls from the start on. `open` sets, or replaces, the service that answers them; `close` ends them and
 * refuses them with the reason.
 */
export interface StartupGates {
  readonly commitLog: { open(commitLog: CommitLog): void; close(reason: string): void };
  readonly cluster: { open(cluster: Cluster): void; close(reason: string): void };
}

/** Accepts the calls of other nodes from the start on; the setters name what answers them. */
export interface PeerService {
  /** Answers nodes that want to join. */
  setJoinHandler(handler: JoinHandler): void;
  /** Answers members that repair their logs. */
  setEntries(handler: EntryHandler): void;
  /** Answers replicas. */
  setReplicas(handler: ReplicaHandler): void;
  /** Answers members that start. */
  setVouchHandler(handler: VouchHandler): void;
}

/** What a node needs from outside, whether a member or a replica. */
export interface NodeDependencies {
  readonly settings: NodeSettings;
  readonly directory: DataDirectory;
  readonly gossip: Gossip;
  readonly gates: StartupGates;
  readonly peerService: PeerService;
  readonly crc32c: Crc32c;
  readonly clock: Clock;
  /** A random integer of [0, n), which nobody can guess. */
  readonly random: (n: number) => number;
  readonly logger: Logger;
  /** Called once when this node must stop; the process must end. */
  readonly onFatal: (error: unknown) => void;
  /** Called whenever the node begins to do something else, with a question that tells from then on how ready it is. */
  readonly onReadiness?: (ask: () => Readiness) => void;
  /** Aborts when the node is to stop: a start in progress then rejects. */
  readonly signal: AbortSignal;
  /** Throws if peers have no way to prove who they are; called if the node's directory names other members. */
  readonly assertPeersProve?: () => void;
  /** Opens the log (default: `Log.open`). A simulation wraps it to inspect and damage what is opened. */
  readonly openLog?: typeof Log.open;
}

export interface MemberDependencies extends NodeDependencies {
  readonly settings: MemberSettings;
  readonly joinTransport: JoinTransport;
  /** Opens the links to the other members, for batches of this log. */
  readonly peerTransport: (checksum: BatchChecksum) => PeerTransport;
  /** Reads the logs of the other members, as the member with this Raft id and a log of this generation. */
  readonly entrySource: (id: number, checksum: BatchChecksum, generation: number) => EntrySource;
  /** Starts the Raft driver (default: `RaftNode.start`). A simulation uses it to plant known bugs. */
  readonly startRaft?: typeof RaftNode.start;
}

export interface ReplicaDependencies extends NodeDependencies {
  /** Connects to the members. The checksum's log id is empty while the node knows no cluster. */
  readonly uplink: (checksum: BatchChecksum, generation: number) => ReplicaUplink;
  /** The feature level at which producers are accepted (default: the one of this release). */
  readonly exactlyOnceLevel?: number;
}
