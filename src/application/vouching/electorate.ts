import { majoritySize } from '../../domain/raft/quorum.js';
import type { Configuration, Member } from '../configuration/configuration.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';

/** Who is asked about a member that starts, and how many of them must have answered. */
export interface Electorate {
  /** The other members whose answers count. */
  readonly peers: readonly Member[];
  /** Whether the answers of these peers, together with the member itself, are a majority. */
  isEnough(answered: ReadonlySet<number>): boolean;
}

/**
 * The voters that this node's disk knows. A node that does not find itself among the members has not read yet that it was
 * let in, and asks those that it was told of. A learner counts itself as a voter: it may have become one without having
 * read it.
 */
export function electorateOf(
  configuration: Pick<ConfigurationFile, 'current' | 'stored'>,
  { id, uuid }: { readonly id: number; readonly uuid: string },
): Electorate {
  const { current, stored } = configuration;
  const isMember = current.members.some((member) => member.id === id);
  const contacts = isMember ? [] : (stored?.contacts ?? []);
  const halves = isMember
    ? [current.confState.voters, current.confState.votersOutgoing].filter((half) => half.length > 0)
    : [contacts.map((member) => member.id)];
  const known = [...contacts, ...current.members];
  // Under an earlier id this node is not another member.
  const isSelf = (voter: number): boolean =>
    voter === id || known.some((each) => each.id === voter && each.uuid === uuid);
  const peers = [...new Set(halves.flat())].flatMap((voter) => {
    const member = known.find((each) => each.id === voter);
    return isSelf(voter) || member === undefined ? [] : [member];
  });
  const agrees = (half: readonly number[], answered: ReadonlySet<number>): boolean => {
    const all = new Set([...half.filter((voter) => !isSelf(voter)), id]);
    const others = [...all].filter((each) => each !== id && answered.has(each)).length;
    return others + 1 >= majoritySize(all.size);
  };
  return { peers, isEnough: (answered) => halves.every((half) => agrees(half, answered)) };
}

/** Whether other nodes were ever members of the cluster. */
export function hadOthers({ lastId, members }: Configuration): boolean {
  return lastId > 1 || members.length > 1;
}
