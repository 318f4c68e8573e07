import type { Cluster } from '../ports/cluster.js';
import type { EntrySource } from '../ports/entry-source.js';
import { DamagedNode, isDamaged } from '../repair/damaged-node.js';
import { leaveCluster } from '../join/leave-cluster.js';
import { recoveryFileName } from '../repair/recover-history.js';
import { LogRepair } from '../repair/log-repair.js';
import { JoinRefusedError } from '../join/join-cluster.js';
import { enterCluster, joinAgain, reenterCluster } from './enter-cluster.js';
import { closingOnFailure } from './in-order.js';
import { type NodeContext, type NodeStorage, openContext, openStorage } from './node-context.js';
import type { MemberDependencies } from './node-dependencies.js';
import { setLogAside } from './set-log-aside.js';
import { type MemberContext, openGates, runRaft, type RunningRaft } from './run-raft.js';
import { type ClusterWork, StartedNode } from './started-node.js';

/** What a member does in its cluster. */
export interface MemberWork extends ClusterWork {
  /** Undefined while the log is damaged. */
  readonly raft: RunningRaft | undefined;
  /** The progress of the log's repair; undefined while there is none. */
  readonly repair: string | undefined;
}

/**
 * Starts a member of the cluster that its data directory names, or joins or bootstraps one. A member whose log is
 * damaged serves what it can while the log is repaired from its peers, and runs Raft after that. Resolves when it
 * serves; waits for its cluster without a time limit. If it rejects, what it opened is closed.
 */
export function startMember(deps: MemberDependencies): Promise<StartedNode<MemberWork>> {
  return closingOnFailure(async (opened) => {
    const context = await openContext(deps, 'node', opened);
    const isNew = context.configuration.stored === undefined;
    if (isNew) await enterCluster(deps, context);
    deps.signal.throwIfAborted();
    const { storage, isKnown } = isNew
      ? { storage: await openStorage(deps, context), isKnown: true }
      : await reenterOrYield(deps, context);
    await reportRecovery(deps, context);
    const id = context.configuration.stored?.id ?? 0;
    const member: MemberContext = { ...context, ...storage, id, isKnown };

    const repair = await prepareRepair(deps, member);
    deps.signal.throwIfAborted();
    const isWhole = repair === undefined && !isDamaged(member.log);
    const work = isWhole ? raftWork(deps, member, await runRaft(deps, member)) : damagedWork(deps, member, repair);
    return new StartedNode(context, storage, work);
  });
}

/** Logs, once, that `golog recover` changed the directory. */
async function reportRecovery({ logger }: MemberDependencies, { configuration }: NodeContext): Promise<void> {
  const { stored, generation } = configuration;
  if (stored?.recovery === undefined) return;
  const { recovery: _, ...rest } = stored;
  logger.warn(
    'cluster_recovered',
    { audit: 'recover', generation, memberId: stored.id, report: `raft/${recoveryFileName(generation)}` },
    'golog recover made this node the only member of its cluster',
  );
  await configuration.write(rest);
}

/** Reenters the cluster, with an empty log if the cluster has a later generation of it. */
async function reenterOrYield(
  deps: MemberDependencies,
  context: NodeContext,
): Promise<{ storage: NodeStorage; isKnown: boolean }> {
  const { configuration } = context;
  let superseded = configuration.stored?.superseded;
  const storage = await openStorage(deps, context);
  if (superseded === undefined) {
    try {
      return { storage, isKnown: await reenterCluster(deps, context, storage) };
    } catch (error) {
      if (!(error instanceof JoinRefusedError) || error.generation === undefined) throw error;
      superseded = error.generation;
    }
  }
  await configuration.noteSuperseded(superseded);
  // Only once the cluster has admitted the node anew is its log in the way.
  const joined = await joinAgain(deps, context, superseded);
  await setLogAside(deps, context, storage, superseded);
  await configuration.write(joined);
  deps.logger.info('cluster_joined', { memberId: joined.id }, 'joined the cluster');
  return { storage: await openStorage(deps, context), isKnown: true };
}

function prepareRepair(deps: MemberDependencies, member: MemberContext): Promise<LogRepair | undefined> {
  const { directory, crc32c, clock, logger } = deps;
  const { log, hardState, configuration, id, diskReserve, discovery } = member;
  const found = deps.entrySource(id, { crc32c, logId: directory.logId }, configuration.generation);
  const source: EntrySource = {
    logEnd: (peer, ...rest) => found.logEnd(discovery.locate(peer), ...rest),
    read: (peer, ...rest) => found.read(discovery.locate(peer), ...rest),
  };
  return LogRepair.prepare({ log, hardState, configuration, id, source, diskReserve, clock, logger });
}

function raftWork(deps: MemberDependencies, { self }: MemberContext, raft: RunningRaft): MemberWork {
  return {
    consensus: raft.node,
    raft,
    repair: undefined,
    leave: () => leave(deps, raft.cluster, self.name),
    settle: () => Promise.resolve(),
    stop: () => raft.stop(),
  };
}

/** Serves the readable part of a damaged log, and runs Raft once the log is repaired. */
function damagedWork(deps: MemberDependencies, member: MemberContext, repair: LogRepair | undefined): MemberWork {
  const { log, id, self, diskReserve } = member;
  const configuration = member.configuration.current;
  const clusterId = deps.directory.logId;
  const damaged = new DamagedNode({ log, configuration, id, self, clusterId, ...(repair && { repair }) });
  openGates(deps, member, damaged, damaged);

  let raft: RunningRaft | undefined;
  const stopping = new AbortController();
  const repairAndRunRaft = async (): Promise<void> => {
    if (repair === undefined) return;
    await repair.run(stopping.signal);
    raft = await runRaft(deps, member);
    await damaged.close();
  };
  const repaired = repairAndRunRaft().catch((error: unknown) => {
    if (!stopping.signal.aborted) deps.onFatal(error);
  });
  return {
    get consensus() {
      return raft?.node ?? damaged;
    },
    get raft() {
      return raft;
    },
    get repair() {
      return raft === undefined ? repair?.progress : undefined;
    },
    leave: () => leave(deps, raft?.cluster ?? damaged, self.name),
    settle: () => {
      stopping.abort();
      return repaired;
    },
    stop: async () => (raft === undefined ? diskReserve.close() : raft.stop()),
  };
}

async function leave({ clock, logger }: MemberDependencies, cluster: Cluster, name: string): Promise<void> {
  try {
    await leaveCluster({ cluster, name, clock });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    logger.warn('leave_failed', { reason }, 'could not leave the cluster; this node stays a member');
  }
}
