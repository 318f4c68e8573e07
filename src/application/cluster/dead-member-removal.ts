import { majoritySize } from '../../domain/raft/quorum.js';
import { type ClusterStatus, MembershipError, type MemberStatus } from '../ports/cluster.js';
import { OutcomeUnknownError, UnavailableError } from '../errors.js';
import { type GossipNode, gossipNodes } from '../join/gossip-tags.js';
import type { Clock } from '../ports/clock.js';
import type { Gossip } from '../ports/gossip.js';
import type { Logger } from '../ports/logger.js';
import { repeat } from '../waiting/repeat.js';
import { withDeadline } from '../waiting/with-deadline.js';

const everyMs = 1_000;
/** A member that left must be silent for this long, since it may have come back without the leader knowing yet. */
const leftMs = 10_000;
/** A configuration change that takes longer than this has no quorum now. */
const changeMsMax = 10_000;

export interface DeadMemberRemovalOptions {
  readonly gossip: Pick<Gossip, 'members'>;
  readonly cluster: { removeMember(name: string, signal: AbortSignal, removal: 'as dead'): Promise<void> };
  /** The cluster as this node sees it. */
  readonly status: () => ClusterStatus;
  readonly isLeader: () => boolean;
  /** Removes a member that has been silent for this long; 0: never. */
  readonly deadMemberTimeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Compares gossip with the configuration once a second while this node leads, so that a missed event makes no
 * difference. Removes a member to which the leader has no link and that either left for good or was silent for the
 * timeout, in gossip as well. Never removes a member if the remaining voters would lack a healthy majority: a failure
 * alone takes no vote away. Does not add members: a node asks to join by itself, since it must know its Raft id first.
 * Returns a function that stops it.
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

/** @param silence for how many milliseconds each member has been silent, as seen by this leader, by id */
async function reconcileOnce(options: DeadMemberRemovalOptions, silence: Map<number, number>): Promise<void> {
  if (!options.isLeader()) {
    silence.clear();
    return;
  }
  const { members, clusterId } = options.status();
  const nodes = gossipNodes(options.gossip.members()).filter((node) => node.clusterId === clusterId);
  noteSilence(members, nodes, silence);
  const dead = members.find(
    (member) => isDead(member, nodes, silence, options.deadMemberTimeoutMs) && othersAreHealthy(members, member),
  );
  if (dead !== undefined) await remove(options, dead, silence.get(dead.id) ?? 0);
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

function isDead(
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

/** Whether a majority of the remaining voters is healthy. */
function othersAreHealthy(members: readonly MemberStatus[], without: MemberStatus): boolean {
  const voters = members.filter(({ id, role }) => id !== without.id && role !== 'learner');
  const healthy = voters.filter(({ state }) => state === 'self' || state === 'replicating');
  return voters.length > 0 && healthy.length >= majoritySize(voters.length);
}

async function remove(options: DeadMemberRemovalOptions, { name }: MemberStatus, silentMs: number): Promise<void> {
  const { cluster, clock, logger } = options;
  logger.warn('dead_member_removal_started', { member: name, silentMs }, 'removing a dead member from the cluster');
  try {
    await withDeadline(clock, changeMsMax, undefined, (signal) => cluster.removeMember(name, signal, 'as dead'));
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
