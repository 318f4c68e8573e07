import { JoinRefusedError } from '../join/join-cluster.js';
import { recoveryFileName } from '../repair/recover-history.js';
import { enterCluster, joinAgain } from './enter-cluster.js';
import { closingOnFailure } from './in-order.js';
import { applyLoggedConfigurations } from './logged-configurations.js';
import { type MemberIdentity, openIdentity, openVoucher } from './member-identity.js';
import { MemberLife } from './member-life.js';
import { openMemberStorage } from './missing-log.js';
import { type NodeContext, type NodeStorage, openContext, openStorage } from './node-context.js';
import type { MemberDependencies } from './node-dependencies.js';
import { setLogAside } from './set-log-aside.js';
import { StartedNode } from './started-node.js';

/**
 * Starts a member of the cluster that its data directory names, or joins or bootstraps one. A member serves what it can
 * while its peers have not vouched for it, and while its log is repaired from them, and runs Raft after that. Resolves
 * when it serves; a new node waits for its cluster without a time limit. If it rejects, what it opened is closed.
 */
export function startMember(deps: MemberDependencies): Promise<StartedNode<MemberLife>> {
  return closingOnFailure(async (opened) => {
    const context = await openContext(deps, 'node', opened);
    const { configuration } = context;
    const identity = await openIdentity(deps, context);
    const isNew = configuration.stored === undefined && (await enterCluster(deps, context));
    deps.signal.throwIfAborted();
    const storage = await openMemberStorage(deps, context);
    await reportRecovery(deps, context);
    try {
      const { superseded } = configuration.stored ?? {};
      if (superseded !== undefined) return await startAgain(deps, context, storage, identity, superseded);
      return await startWith(deps, context, storage, identity, isNew);
    } catch (error) {
      if (!(error instanceof JoinRefusedError) || error.generation === undefined) throw error;
      return startAgain(deps, context, storage, identity, error.generation);
    }
  });
}

async function startWith(
  deps: MemberDependencies,
  context: NodeContext,
  storage: NodeStorage,
  identity: MemberIdentity,
  isNew: boolean,
): Promise<StartedNode<MemberLife>> {
  await applyLoggedConfigurations({ ...context, ...storage, logger: deps.logger }, 'damaged');
  const voucher = openVoucher(deps, context, storage, identity);
  const life = await MemberLife.start(deps, { ...context, ...storage, ...identity, voucher }, isNew);
  return new StartedNode(context, storage, life);
}

/** Joins the cluster with an empty log, since the cluster has a later generation of it. */
async function startAgain(
  deps: MemberDependencies,
  context: NodeContext,
  storage: NodeStorage,
  identity: MemberIdentity,
  generation: number,
): Promise<StartedNode<MemberLife>> {
  const { configuration } = context;
  await configuration.noteSuperseded(generation);
  // Only once the cluster has admitted the node again is its log in the way.
  const joined = await joinAgain(deps, context, generation);
  await setLogAside(deps, context, storage, generation);
  await configuration.write(joined);
  deps.logger.info('cluster_joined', { memberId: joined.id }, 'joined the cluster');
  return startWith(deps, context, await openStorage(deps, context), identity, true);
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
