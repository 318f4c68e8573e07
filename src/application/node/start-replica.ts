import { describeClusterId } from '../configuration/member-names.js';
import { watchDamage } from '../repair/damage-watch.js';
import type { Contact } from '../ports/replica-uplink.js';
import { ReplicaCluster } from '../replica/replica-cluster.js';
import { askForCluster } from '../replica/ask-for-cluster.js';
import { Replica } from '../replica/replica.js';
import { readersOfReplica, readNoted } from '../repair/peer-readers.js';
import { careForLog } from './care-for-log.js';
import { closingOnFailure, inOrder } from './in-order.js';
import { setLogAside } from './set-log-aside.js';
import { assertNeverInCluster, type NodeContext, type NodeStorage, openContext, openStorage } from './node-context.js';
import type { ReplicaDependencies } from './node-dependencies.js';
import { openGates } from './run-raft.js';
import { type ClusterWork, StartedNode } from './started-node.js';

/** What a replica does for its cluster. */
export interface ReplicaWork extends ClusterWork {
  readonly consensus: Replica;
  readonly cluster: ReplicaCluster;
}

/**
 * Starts a replica, which is not a member: it learns its cluster from the first member that answers, and follows that
 * cluster from then on. Resolves when it serves; waits for that member without a time limit. If it rejects, what it
 * opened is closed.
 */
export function startReplica(deps: ReplicaDependencies): Promise<StartedNode<ReplicaWork>> {
  return closingOnFailure(async (opened) => {
    const context = await openContext(deps, 'replica', opened);
    await findCluster(deps, context);
    deps.signal.throwIfAborted();
    const storage = await openCurrentLog(deps, context);
    // A replica has no vote to forget.
    if (context.hardState.loss !== undefined) await context.hardState.acceptLoss();

    const { settings, directory, peerService, crc32c, clock, random, logger, onFatal, exactlyOnceLevel } = deps;
    const { self, configuration, hardState, discovery: whereabouts } = context;
    const { log, diskReserve } = storage;
    const clusterId = directory.logId;
    const uplink = deps.uplink({ crc32c, logId: clusterId }, configuration.generation);
    const replica = await Replica.start({
      log,
      hardState,
      configuration,
      diskReserve,
      uplink,
      whereabouts,
      clusterId,
      clock,
      random,
      logger,
      onFatal,
      sources: () => knownMembers(context),
      retention: settings.retention,
      ...(exactlyOnceLevel !== undefined && { exactlyOnceLevel }),
    });
    await readNoted(log, configuration);
    const care = await careForLog(deps, {
      log,
      diskReserve,
      // Everything in its log is committed.
      committed: () => replica.applied,
      readers: () => readersOfReplica(knownMembers(context), uplink),
      exclusively: (task) => replica.exclusively(task),
    });
    const cluster = new ReplicaCluster({ replica, uplink, log, self, clusterId, scrub: care.status });
    peerService.setJoinHandler(cluster);
    openGates(deps, { log, configuration }, replica, cluster);
    deps.onReadiness?.(() => cluster.readiness);
    const stopWatching = watchDamage({ log, configuration, id: 0, clock, logger, onFatal });
    return new StartedNode(context, storage, {
      consensus: replica,
      cluster,
      // No quorum counts a replica, so only gossip needs to know that it leaves.
      leave: () => Promise.resolve(),
      settle: () => Promise.resolve(),
      stop: () => inOrder(stopWatching, () => care.stop()),
    });
  });
}

/** Opens the log; an empty one if the cluster has a later generation than what is stored. */
async function openCurrentLog(deps: ReplicaDependencies, context: NodeContext): Promise<NodeStorage> {
  const { configuration } = context;
  const storage = await openStorage(deps, context);
  const { stored } = configuration;
  if (stored?.superseded === undefined) return storage;
  const { superseded: generation, ...rest } = stored;
  await setLogAside(deps, context, storage, generation);
  await configuration.write({ ...rest, generation });
  return openStorage(deps, context);
}

/** Finds the cluster of a new replica and stores it. */
async function findCluster(deps: ReplicaDependencies, context: NodeContext): Promise<void> {
  const { directory, crc32c, clock, logger, signal } = deps;
  const { configuration, discovery } = context;
  if (configuration.stored !== undefined) return;
  await assertNeverInCluster(deps, context);
  const uplink = deps.uplink({ crc32c, logId: new Uint8Array(0) }, 0);
  const sources = (): readonly Contact[] => knownMembers(context);
  const { clusterId, members } = await askForCluster({ uplink, sources, clock, logger, signal });
  await directory.adoptLogId(clusterId);
  await configuration.write({ id: 0, contacts: members, history: [], replica: true });
  discovery.enter(describeClusterId(clusterId));
  logger.info('replica_joined', { members: members.map(({ name }) => name) }, 'became a replica of the cluster');
}

/** Returns the members that the last source named, and those known through gossip. */
function knownMembers({ configuration: { stored }, discovery }: NodeContext): readonly Contact[] {
  const contacts: readonly Contact[] = stored?.contacts ?? [];
  const others = discovery.nodes().filter((node) => contacts.every(({ rpcAddr }) => rpcAddr !== node.rpcAddr));
  return [...contacts, ...others.map(({ name, rpcAddr }) => ({ name, rpcAddr }))];
}
