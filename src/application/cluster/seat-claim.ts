import { describeClusterId } from '../configuration/member-names.js';
import type { Member } from '../configuration/configuration.js';
import { answeringMs, type JoinAnswer, type Joiner } from '../ports/join-transport.js';

export interface SeatState {
  readonly clusterId: Uint8Array;
  /** For how many milliseconds no process has answered as the member, except at the address of the node itself. */
  readonly silentMs: number;
  /** Whether the member is the only one and asks itself: no other member knows its name. */
  readonly isAlone: boolean;
}

/**
 * Returns the answer to a node that has the UUID of a member and may not act as that member as it is; undefined if it
 * may. A member keeps its name. It may come back at its address at once, and at another address when no process answers
 * as the member elsewhere: until then, one of the two data directories could be a copy.
 */
export function objectionTo(
  { name, uuid, rpcAddr }: Joiner,
  member: Pick<Member, 'name' | 'rpcAddr'>,
  { clusterId, silentMs, isAlone }: SeatState,
): JoinAnswer | undefined {
  const isAlive = silentMs < answeringMs;
  if (name !== member.name && !isAlone) {
    const where = isAlive && member.rpcAddr !== rpcAddr ? `which is alive at ${member.rpcAddr}` : 'and keeps its name';
    const reason =
      `this data directory (UUID ${uuid}) is that of the member ${member.name}, ${where}: ` +
      `start it with --node-name ${member.name}, not ${name}. To rename the member, remove it first ` +
      `(golog member remove ${member.name}). If this is a copy of another node's directory, start with an empty one`;
    return { kind: 'refused', reason, clusterId };
  }
  if (member.rpcAddr === rpcAddr || !isAlive) return undefined;
  const reason =
    `a member with the UUID of this data directory (${uuid}) is alive at ${member.rpcAddr}: ` +
    `if this is a copy of that node's directory, stop this node and start it with an empty one; ` +
    `if the member has moved here, stop the process there`;
  return { kind: 'retry', reason, clusterId, aliveAt: member.rpcAddr, ...(silentMs > 0 && { silentMs }) };
}

/**
 * Returns the answer to a node whose log is of another generation than this node's; undefined if it has none of this
 * cluster, or the same generation. The lower one yields: it must join again with an empty log.
 */
export function generationObjection(
  { name, clusterId: stored, generation: theirs = 0 }: Joiner,
  { clusterId, generation }: { readonly clusterId: Uint8Array; readonly generation: number },
): JoinAnswer | undefined {
  if (stored === undefined || describeClusterId(stored) !== describeClusterId(clusterId)) return undefined;
  if (theirs === generation) return undefined;
  if (theirs > generation)
    return { kind: 'retry', reason: `this node has generation ${generation} of the log; ${name} has a later one` };
  const reason =
    `the cluster was recovered and is at generation ${generation} of its log; the log of ${name} is of ` +
    `generation ${theirs}. Restart ${name}: it then sets its log aside and joins again`;
  return { kind: 'refused', reason, clusterId, generation };
}
