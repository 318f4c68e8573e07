import type { Cluster } from '../ports/cluster.js';
import { ClusterService } from '../cluster/cluster-service.js';
import { clusterStatusOf } from '../cluster/cluster-status.js';
import { CommitLogService } from '../commit-log-service.js';
import { CommittedEntries } from '../repair/committed-entries.js';
import { watchDamage } from '../repair/damage-watch.js';
import type { Consensus } from '../ports/consensus.js';
import { RaftNode } from '../raft/raft-node.js';
import { removeDeadMembers } from '../cluster/dead-member-removal.js';
import { FollowedEntries } from '../replica/followed-entries.js';
import { keepAnnounced } from './enter-cluster.js';
import { inOrder } from './in-order.js';
import type { NodeContext, NodeStorage } from './node-context.js';
import type { MemberDependencies, NodeDependencies } from './node-dependencies.js';

/** A member that is in its cluster and whose log is open. */
export interface MemberContext extends NodeContext, NodeStorage {
  /** Its Raft id. */
  readonly id: number;
  /** Whether the cluster knows this node's name and address. */
  readonly isKnown: boolean;
}

/** A member that runs Raft. */
export interface RunningRaft {
  readonly node: RaftNode;
  readonly cluster: ClusterService;
  /** Ends everything but Raft. */
  stop(): Promise<void>;
}

/** Starts Raft and what builds on it: the services, what other nodes may read, and the leader's duties. */
export async function runRaft(deps: MemberDependencies, member: MemberContext): Promise<RunningRaft> {
  const { settings, directory, gossip, peerService, clock, logger, onFatal, random, crc32c } = deps;
  const { startRaft = (options) => RaftNode.start(options) } = deps;
  const { self, id, log, configuration, hardState, diskReserve } = member;
  const clusterId = directory.logId;
  const checksum = { crc32c, logId: clusterId };
  const transport = deps.peerTransport(checksum);
  const { retention, timing } = settings;
  const files = { log, hardState, configuration, diskReserve };
  const outside = { checksum, clock, random, transport, whereabouts: member.discovery, logger, onFatal };
  const node = await startRaft({ ...files, ...outside, id, self, retention, timing });

  const cluster = new ClusterService({
    leadership: node.leadership,
    transport,
    clock,
    logger,
    self,
    gossip,
    clusterId,
  });
  peerService.setJoinHandler(cluster);
  peerService.setEntries(new CommittedEntries({ node, log }));
  peerService.setReplicas(new FollowedEntries({ node, log, id, clusterId, clock }));
  openGates(deps, member, node, cluster);

  const stopWatching = watchDamage({ log, configuration, id, clock, logger, onFatal });
  const stopReconciling = removeDeadMembers({
    gossip,
    cluster,
    status: () => clusterStatusOf({ leadership: node.leadership, self, clusterId }),
    isLeader: () => node.leadership.isLeader,
    deadMemberTimeoutMs: settings.deadMemberTimeoutMs,
    clock,
    logger,
  });
  const moving = new AbortController();
  const moved = keepAnnounced(deps, member, moving.signal);
  const stop = (): Promise<void> => {
    moving.abort();
    return inOrder(
      () => moved,
      () => cluster.close(),
      () => stopWatching(),
      () => stopReconciling(),
    );
  };
  return { node, cluster, stop };
}

/** Opens the gates: from now on, client calls are answered. */
export function openGates(
  { gates }: NodeDependencies,
  { log, configuration }: Pick<NodeStorage, 'log'> & Pick<NodeContext, 'configuration'>,
  consensus: Consensus,
  cluster: Cluster,
): void {
  gates.commitLog.open(new CommitLogService(consensus, log, configuration));
  gates.cluster.open(cluster);
}
