import { majoritySize } from '../../domain/raft/quorum.js';
import type { Configuration, Member } from '../configuration/configuration.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';

/** The peers that are asked about a member that starts, and how many of them must have answered. */
export interface Electorate {
  /** The other members whose answers count. */
  readonly peers: readonly Member[];
  /**
   * Whether so many have answered that every majority with this member in it had one of them: whatever this member helped
   * to decide, one of them knows.
   */
  isSure(answered: ReadonlySet<number>): boolean;
  /** Whether those who have answered can be a majority together with this member. */
  isMajority(answered: ReadonlySet<number>): boolean;
}

/**
 * Returns the voters that this node's disk knows. A node that does not find itself among the members has not read yet
 * that it was admitted, and asks those that it was told of. A learner counts itself as a voter: it may have become one
 * without having read it. If a leader no longer names one of the voters, those that it does name are asked instead: a
 * replaced disk answers nobody, and the log of the leader has what it helped to decide.
 *
 * @param named the members that the leader has named; undefined: no leader has answered
 */
export function electorateOf(
  configuration: Pick<ConfigurationFile, 'current' | 'stored'>,
  { id, uuid }: { readonly id: number; readonly uuid: string },
  named?: readonly Member[],
): Electorate {
  const { current, stored } = configuration;
  const voters = new Set([...current.confState.voters, ...current.confState.votersOutgoing]);
  const isOutdated =
    named !== undefined && current.members.some((each) => voters.has(each.id) && !includes(named, each));
  const isMember = !isOutdated && current.members.some((member) => member.id === id);
  const contacts = isMember ? [] : isOutdated ? named : (stored?.contacts ?? []);
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
  const groups = halves.map((half) => half.filter((voter) => !isSelf(voter)));
  const agree = (answered: ReadonlySet<number>, needed: (others: number) => number): boolean =>
    groups.every((others) => others.filter((each) => answered.has(each)).length >= needed(others.length));
  return {
    peers,
    isSure: (answered) => agree(answered, (others) => (others === 0 ? 0 : majoritySize(others))),
    isMajority: (answered) => agree(answered, (others) => majoritySize(others + 1) - 1),
  };
}

function includes(members: readonly Member[], { id, uuid }: Member): boolean {
  return members.some((each) => each.id === id && each.uuid === uuid);
}

/**
 * Whether other nodes were members beside this one. Those that it outlived have lower ids: it removed them itself, or
 * `golog recover` did.
 */
export function hadOthers({ lastId, members }: Configuration, id: number): boolean {
  return lastId > id || members.length > 1;
}
