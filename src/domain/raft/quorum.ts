import type { ConfState } from './conf-state.js';

/** The outcome of an election so far. `pending`: the missing votes can still decide it either way. */
export type VoteResult = 'pending' | 'lost' | 'won';

/** The voters of a configuration; with `votersOutgoing` empty it is not joint. */
export type Voters = Pick<ConfState, 'voters' | 'votersOutgoing'>;

/** The index that a member is known to have acknowledged; undefined counts as 0. */
export type AckedIndex = (id: number) => number | undefined;

/**
 * The committed index of a quorum without members: everything, so that an empty half of a joint quorum always agrees.
 */
export const unboundedIndex = Number.POSITIVE_INFINITY;

/** Returns the number of members that must agree among `count`: more than half. */
export function majoritySize(count: number): number {
  return Math.floor(count / 2) + 1;
}

/**
 * Returns the highest index that a majority of `ids` has acknowledged (Raft §5.3); `unboundedIndex` without members.
 */
export function majorityCommittedIndex(ids: readonly number[], acked: AckedIndex): number {
  if (ids.length === 0) return unboundedIndex;
  const indexes = ids.map((id) => acked(id) ?? 0).sort((a, b) => b - a);
  const index = indexes[majoritySize(ids.length) - 1];
  if (index === undefined) throw new Error('a majority is no larger than the quorum');
  return index;
}

/** Returns the highest index that both majorities have acknowledged (Raft §6). */
export function committedIndex({ voters, votersOutgoing }: Voters, acked: AckedIndex): number {
  return Math.min(majorityCommittedIndex(voters, acked), majorityCommittedIndex(votersOutgoing, acked));
}

/** Returns the outcome among `ids` (Raft §5.2), ignoring other votes; `won` without members. */
export function majorityVoteResult(ids: readonly number[], votes: ReadonlyMap<number, boolean>): VoteResult {
  if (ids.length === 0) return 'won';
  let granted = 0;
  let missing = 0;
  for (const id of ids) {
    const vote = votes.get(id);
    if (vote === undefined) missing += 1;
    else if (vote) granted += 1;
  }
  const needed = majoritySize(ids.length);
  if (granted >= needed) return 'won';
  return granted + missing >= needed ? 'pending' : 'lost';
}

/** Returns the outcome among both majorities (Raft §6): won when both are won, lost when either is lost. */
export function voteResult({ voters, votersOutgoing }: Voters, votes: ReadonlyMap<number, boolean>): VoteResult {
  const incoming = majorityVoteResult(voters, votes);
  const outgoing = majorityVoteResult(votersOutgoing, votes);
  if (incoming === outgoing) return incoming;
  return incoming === 'lost' || outgoing === 'lost' ? 'lost' : 'pending';
}
