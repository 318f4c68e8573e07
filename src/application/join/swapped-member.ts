import type { Configuration, Member } from '../configuration/configuration.js';

/**
 * The member whose data directory a node has, where the node goes by the name of yet another member: the two directories
 * may be in each other's place. Undefined where it has its own, or goes by a name that is nobody's.
 */
export function swappedMember(
  { members }: Pick<Configuration, 'members'>,
  { name, uuid }: Pick<Member, 'name' | 'uuid'>,
): Member | undefined {
  const owner = members.findLast((member) => member.uuid === uuid);
  if (owner === undefined || owner.name === name) return undefined;
  return members.some((member) => member.name === name) ? owner : undefined;
}
