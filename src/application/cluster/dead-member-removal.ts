import { majoritySize } from '../../domain/raft/quorum.js';
import { type Cluster, type ClusterStatus, MembershipError, type MemberStatus } from '../ports/cluster.js';
import { OutcomeUnknownError, UnavailableError } from '../errors.js';
import { type GossipNode, gossipNodes } from '../join/gossip-tags.js';
import type { Clock } from '../ports/clock.js';
import type { Gossip } from '../ports/gossip.js';
import type { Logger } from '../ports/logger.js';
import { repeat } from '../waiting/repeat.js';
import { withDeadline } from '../waiting/with-deadline.js';

const everyMs = 1_000;
/** Who has left is silent for so long, or it has come back and is about to be heard of. */
const leftMs = 10_000;
/** A change of the membership that takes longer than this has no quorum now. */
const changeMsMax = 10_000;

export interface DeadMemberRemovalOptions {
  readonly gossip: Pick<Gossip, 'members'>;
  readonly cluster: Pick<Cluster, 'removeMember'>;
  /** The cluster as this node sees it. */
  readonly status: () => ClusterStatus;
  readonly isLeader: () => boolean;
  /** A member of which nothing was heard for so long is taken out; 0: never. */
  readonly deadMemberTimeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The leader's comparison of the gossip with the configuration, once a second, so that an event that was missed makes
 * no difference. It takes a member out that the leader has no link to and that has left, which is for good, or of
 * which nobody has heard for the timeout, not even by gossip. Never if the others would be without a majority that is well: a
 * failure by itself takes no vote away. Nobody is let in here: a node that joins asks for it itself, since it has to
 * know its Raft id before it can take part. Returns how to stop it.
 */
export function removeDeadMembers(options: DeadMemberRemovalOptions): () => Promise<void> {
  const silence = new Map<number, number>();
  return repeat(
    options.clock,
    everyMs,
    () => reconcileOnce(options, silence),
    (error) => options.logger.error('dead_member_removal_stopped', { error }, 'stopped removing dead members'),
  );
}

/** @param silence for how many milliseconds a member was silent, as this leader has seen it, by id */
async function reconcileOnce(options: DeadMemberRemovalOptions, silence: Map<number, number>): Promise<void> {
  if (!options.isLeader()) {
    silence.clear();
    return;
  }
  const { members, clusterId } = options.status();
  const nodes = gossipNodes(options.gossip.members()).filter((node) => node.clusterId === clusterId);
  noteSilence(members, nodes, silence);
  const gone = members.find(
    (member) => isGone(member, nodes, silence, options.deadMemberTimeoutMs) && othersAreWell(members, member),
  );
  if (gone !== undefined) await remove(options, gone, silence.get(gone.id) ?? 0);
}

function noteSilence(
  members: readonly MemberStatus[],
  nodes: readonly GossipNode[],
  silence: Map<number, number>,
): void {
  for (const id of silence.keys()) if (!members.some((member) => member.id === id)) silence.delete(id);
  for (const { id, state, uuid } of members) {
    const isHeard = state !== 'unreachable' || nodes.some((node) => node.uuid === uuid && node.status === 'alive');
    if (isHeard) silence.delete(id);
    else silence.set(id, (silence.get(id) ?? 0) + everyMs);
  }
}

function isGone(
  { id, uuid, state }: MemberStatus,
  nodes: readonly GossipNode[],
  silence: ReadonlyMap<number, number>,
  timeoutMs: number,
): boolean {
  if (state !== 'unreachable' || uuid === '') return false;
  const node = nodes.find((each) => each.uuid === uuid);
  const silentMs = silence.get(id) ?? 0;
  return (node?.status === 'left' && silentMs >= leftMs) || (timeoutMs > 0 && silentMs >= timeoutMs);
}

/** Of the voters that stay, a majority is heard from. */
function othersAreWell(members: readonly MemberStatus[], without: MemberStatus): boolean {
  const voters = members.filter(({ id, role }) => id !== without.id && role !== 'learner');
  const well = voters.filter(({ state }) => state === 'self' || state === 'replicating');
  return voters.length > 0 && well.length >= majoritySize(voters.length);
}

async function remove(options: DeadMemberRemovalOptions, { name }: MemberStatus, silentMs: number): Promise<void> {
  const { cluster, clock, logger } = options;
  logger.warn('dead_member_removal_started', { member: name, silentMs }, 'removing a dead member from the cluster');
  try {
    await withDeadline(clock, changeMsMax, undefined, (signal) => cluster.removeMember(name, signal));
  } catch (error) {
    const isExpected =
      error instanceof UnavailableError || error instanceof MembershipError || error instanceof OutcomeUnknownError;
    if (!isExpected) throw error;
    logger.warn(
      'dead_member_removal_failed',
      { member: name, reason: error.message },
      'could not remove the dead member; will retry',
    );
  }
}
