import type { Configuration, Member } from '../configuration/configuration.js';

/**
 * Returns the member whose data directory a node has if the node has the name of another member: the two directories may
 * have been swapped. Returns undefined if the directory is its own, or if no member has its name.
 */
export function swappedMember(
  { members }: Pick<Configuration, 'members'>,
  { name, uuid }: Pick<Member, 'name' | 'uuid'>,
): Member | undefined {
  const owner = members.findLast((member) => member.uuid === uuid);
  if (owner === undefined || owner.name === name) return undefined;
  return members.some((member) => member.name === name) ? owner : undefined;
}
