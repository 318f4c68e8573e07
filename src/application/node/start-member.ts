import { applyLoggedConfigurations } from './logged-configurations.js';
import { enterCluster } from './enter-cluster.js';
import { closingOnFailure } from './in-order.js';
import { openIdentity, openVoucher } from './member-identity.js';
import { MemberLife } from './member-life.js';
import { openContext, openStorage } from './node-context.js';
import type { MemberDependencies } from './node-dependencies.js';
import { StartedNode } from './started-node.js';

/**
 * Starts a member of the cluster that its data directory names, or joins or bootstraps one. A member serves what it can
 * while its peers have not vouched for it, and while its log is repaired from them, and runs Raft after that. Resolves
 * when it serves; a new node waits for its cluster without a time limit. If it rejects, what it opened is closed.
 */
export function startMember(deps: MemberDependencies): Promise<StartedNode<MemberLife>> {
  return closingOnFailure(async (opened) => {
    const context = await openContext(deps, 'node', opened);
    const identity = await openIdentity(deps, context);
    const isNew = context.configuration.stored === undefined && (await enterCluster(deps, context));
    deps.signal.throwIfAborted();
    const storage = await openStorage(deps, context);
    await applyLoggedConfigurations({ ...context, ...storage, logger: deps.logger }, 'damaged');
    const voucher = openVoucher(deps, context, storage, identity);
    const life = await MemberLife.start(deps, { ...context, ...storage, ...identity, voucher }, isNew);
    return new StartedNode(context, storage, life);
  });
}
