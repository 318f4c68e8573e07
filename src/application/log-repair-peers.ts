import type { ConfigurationFile, Member } from './configuration.js';

/** Whom a member may ask for entries: nobody where it is the only voter. By id, ascending. */
export function peersOf({ kept, current }: Pick<ConfigurationFile, 'kept' | 'current'>, id: number): readonly Member[] {
  const { voters, votersOutgoing } = current.confState;
  const isAlone = voters.length === 1 && voters[0] === id && votersOutgoing.length === 0;
  if (isAlone) return [];
  const isMember = current.members.some((member) => member.id === id);
  const contacts = isMember ? [] : (kept?.contacts ?? []);
  const known = new Map([...contacts, ...current.members].map((member) => [member.id, member]));
  known.delete(id);
  return [...known.values()].sort((a, b) => a.id - b.id);
}
