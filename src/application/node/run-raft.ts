import { compareEntryIds } from '../../domain/raft/entry-id.js';
import type { Cluster } from '../ports/cluster.js';
import { ClusterService } from '../cluster/cluster-service.js';
import { clusterStatusOf } from '../cluster/cluster-status.js';
import { CommitLogService } from '../commit-log-service.js';
import { applyLoggedConfigurations } from './logged-configurations.js';
import { CommittedEntries } from '../repair/committed-entries.js';
import { readersOfMember, readNoted } from '../repair/peer-readers.js';
import { passOnLeadership } from '../raft/damaged-leader.js';
import type { EntrySource } from '../ports/entry-source.js';
import { careForLog } from './care-for-log.js';
import { watchDamage } from '../repair/damage-watch.js';
import type { Consensus } from '../ports/consensus.js';
import type { SeatLoss } from '../join/ask-if-removed.js';
import { RaftNode } from '../raft/raft-node.js';
import { removeDeadMembers } from '../cluster/dead-member-removal.js';
import { FollowedEntries } from '../replica/followed-entries.js';
import { answeringMs } from '../ports/join-transport.js';
import type { Voucher } from '../vouching/voucher.js';
import { repeat } from '../waiting/repeat.js';
import { keepAnnounced } from './enter-cluster.js';
import { inOrder } from './in-order.js';
import type { MemberIdentity, ProvedMember } from './member-identity.js';
import type { NodeContext, NodeStorage } from './node-context.js';
import type { MemberDependencies, NodeDependencies } from './node-dependencies.js';

/** How often the notes about the peers are written, if they have changed. */
const notesEveryMs = 2_000;

/** A member that is in its cluster and whose log is open. */
export interface MemberContext extends NodeContext, NodeStorage, MemberIdentity, ProvedMember {
  readonly voucher: Voucher;
  /** Its Raft id. */
  readonly id: number;
}

/** A member that runs Raft. */
export interface RunningRaft {
  readonly node: RaftNode;
  readonly cluster: ClusterService;
  /** Resolves with the reason when the node was removed from the cluster; with undefined when it is stopped first. */
  readonly removed: Promise<SeatLoss | undefined>;
  /** Whether it has led, or heard from a leader, since it runs. */
  readonly wasInTouch: () => boolean;
  /** Ends everything but Raft. */
  stop(): Promise<void>;
}

/** Starts Raft and what builds on it: the services, what other nodes may read, and the leader's duties. */
export async function runRaft(deps: MemberDependencies, member: MemberContext): Promise<RunningRaft> {
  const { settings, directory, gossip, peerService, clock, logger, onFatal, random, crc32c } = deps;
  const { startRaft = (options) => RaftNode.start(options) } = deps;
  const { self, id, log, configuration, configurationBase, hardState, diskReserve, notes, voucher } = member;
  const incarnation = member.incarnation.current;
  await applyLoggedConfigurations({ ...member, logger }, 'whole');
  const clusterId = directory.logId;
  const checksum = { crc32c, logId: clusterId };
  const transport = deps.peerTransport(checksum);
  const { retention, timing } = settings;
  const { voteFloor } = member;
  const files = {
    log,
    hardState,
    configuration,
    configurationBase,
    diskReserve,
    notes,
    incarnation,
    ...(voteFloor && { voteFloor }),
  };
  const outside = { checksum, clock, random, transport, whereabouts: member.discovery, logger, onFatal };
  const node = await startRaft({ ...files, ...outside, id, self, retention, timing });

  await readNoted(log, configuration);
  const { leadership } = node;
  const source = entrySourceOf(deps, member);
  const care = await careForLog(deps, {
    ...member,
    committed: () => leadership.status.applied,
    readers: () => readersOfMember(configuration, id, source),
    exclusively: (task) => node.exclusively(task),
    onDamage: passOnLeadership(leadership, clock, logger),
  });
  const cluster = new ClusterService({
    leadership,
    transport,
    clock,
    logger,
    self,
    gossip,
    clusterId,
    scrub: care.status,
  });
  peerService.setJoinHandler(cluster);
  peerService.setEntries(new CommittedEntries({ node, log }));
  peerService.setReplicas(new FollowedEntries({ node, log, id, clusterId, clock }));
  openGates(deps, member, node, cluster);

  voucher.watch((request) => {
    const claimed = configuration.current.members.find((each) => each.id === request.id && each.uuid === request.uuid);
    const isAlive = transport.unansweredMs(request.id, (at) => at !== request.rpcAddr) < answeringMs;
    return claimed !== undefined && isAlive && claimed.rpcAddr !== request.rpcAddr ? claimed.rpcAddr : undefined;
  });
  const keepIdentity = async (): Promise<void> => {
    await notes.write();
    if (member.incarnation.doubt === undefined) return;
    // The doubt outlasts a crash until what ends it does: the saved commit index is durable, the end of the log may not be.
    const { commit: index } = hardState.current;
    const term = await log.termAt(index).catch(() => 0);
    if (voteFloor === undefined || compareEntryIds({ term, index }, voteFloor) >= 0) await member.incarnation.settle();
  };
  const stopNoting = repeat(clock, notesEveryMs, keepIdentity, onFatal);

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
  let wasInTouch = false;
  const isInTouch = (): boolean => {
    const heardMsAgo = leadership.heardMsAgo(leadership.leaderId) ?? Infinity;
    const isNow = leadership.isLeader || heardMsAgo < 2 * leadership.electionTimeoutMs;
    wasInTouch ||= isNow;
    return isNow;
  };
  const removed = keepAnnounced(deps, { ...member, isInTouch }, moving.signal);
  const stop = (): Promise<void> => {
    moving.abort();
    return inOrder(
      () => removed,
      () => cluster.close(),
      () => stopWatching(),
      () => care.stop(),
      () => stopReconciling(),
      () => stopNoting(),
      () => notes.write(),
    );
  };
  return { node, cluster, removed, wasInTouch: () => wasInTouch || isInTouch(), stop };
}

/** Returns what reads the logs of the other members, wherever they are now. */
export function entrySourceOf(deps: MemberDependencies, { id, configuration, discovery }: MemberContext): EntrySource {
  const checksum = { crc32c: deps.crc32c, logId: deps.directory.logId };
  const found = deps.entrySource(id, checksum, configuration.generation);
  return {
    logEnd: (peer, ...rest) => found.logEnd(discovery.locate(peer), ...rest),
    read: (peer, ...rest) => found.read(discovery.locate(peer), ...rest),
  };
}

/** Opens the startup gates: from now on, client calls are answered. */
export function openGates(
  { gates }: NodeDependencies,
  { log, configuration }: Pick<NodeStorage, 'log'> & Pick<NodeContext, 'configuration'>,
  consensus: Consensus,
  cluster: Cluster,
): void {
  gates.commitLog.open(new CommitLogService(consensus, log, configuration));
  gates.cluster.open(cluster);
}
