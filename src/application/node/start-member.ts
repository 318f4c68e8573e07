import type { EntrySource } from '../ports/entry-source.js';
import { LogRepair } from '../repair/log-repair.js';
import { enterCluster, reenterCluster } from './enter-cluster.js';
import { closingOnFailure } from './in-order.js';
import { openContext, openStorage } from './node-context.js';
import type { MemberDependencies } from './node-dependencies.js';
import { MemberLife } from './member-life.js';
import type { MemberContext } from './run-raft.js';
import { StartedNode } from './started-node.js';

/**
 * Starts a member of the cluster that its data directory names, or joins or bootstraps one. A member whose log is
 * damaged serves what it can while the log is repaired from its peers, and runs Raft after that. Resolves when it
 * serves; waits for its cluster without a time limit. If it rejects, what it opened is closed.
 */
export function startMember(deps: MemberDependencies): Promise<StartedNode<MemberLife>> {
  return closingOnFailure(async (opened) => {
    const context = await openContext(deps, 'node', opened);
    const isNew = context.configuration.stored === undefined;
    if (isNew) await enterCluster(deps, context);
    deps.signal.throwIfAborted();
    const storage = await openStorage(deps, context);
    const isKnown = isNew || (await reenterCluster(deps, context, storage));
    const id = context.configuration.stored?.id ?? 0;
    const member: MemberContext = { ...context, ...storage, id, isKnown };

    const repair = await prepareRepair(deps, member);
    deps.signal.throwIfAborted();
    return new StartedNode(context, storage, await MemberLife.start(deps, member, repair));
  });
}

function prepareRepair(deps: MemberDependencies, member: MemberContext): Promise<LogRepair | undefined> {
  const { directory, crc32c, clock, logger } = deps;
  const { log, hardState, configuration, id, diskReserve, discovery } = member;
  const found = deps.entrySource(id, { crc32c, logId: directory.logId });
  const source: EntrySource = {
    logEnd: (peer, ...rest) => found.logEnd(discovery.locate(peer), ...rest),
    read: (peer, ...rest) => found.read(discovery.locate(peer), ...rest),
  };
  return LogRepair.prepare({ log, hardState, configuration, id, source, diskReserve, clock, logger });
}
