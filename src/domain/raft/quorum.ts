import type { ConfState } from './conf-state.js';

/** The outcome of an election so far. `pending`: votes that are still out can turn it either way. */
export type VoteResult = 'pending' | 'lost' | 'won';

/** The voters of a configuration; with `votersOutgoing` empty it is not joint. */
export type Voters = Pick<ConfState, 'voters' | 'votersOutgoing'>;

/** The index that a member is known to have acknowledged; undefined counts as 0. */
export type AckedIndex = (id: number) => number | undefined;

/** What a quorum without members has committed: everything. It lets an absent half of a joint quorum agree to all. */
export const unboundedIndex = Number.POSITIVE_INFINITY;

/** Members that must agree among `count`: more than half. */
export function majoritySize(count: number): number {
  return Math.floor(count / 2) + 1;
}

/** The highest index that a majority of `ids` has acknowledged (Raft §5.3); `unboundedIndex` without members. */
export function majorityCommittedIndex(ids: readonly number[], acked: AckedIndex): number {
  if (ids.length === 0) return unboundedIndex;
  const indexes = ids.map((id) => acked(id) ?? 0).sort((a, b) => b - a);
  const index = indexes[majoritySize(ids.length) - 1];
  if (index === undefined) throw new Error('a majority is no larger than the quorum');
  return index;
}

/** The highest index that both majorities have acknowledged (Raft §6). */
export function committedIndex({ voters, votersOutgoing }: Voters, acked: AckedIndex): number {
  return Math.min(majorityCommittedIndex(voters, acked), majorityCommittedIndex(votersOutgoing, acked));
}

/** The outcome among `ids` (Raft §5.2): votes of others do not count. Won without members. */
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

/** The outcome among both majorities (Raft §6): won when both are, lost when either is. */
export function voteResult({ voters, votersOutgoing }: Voters, votes: ReadonlyMap<number, boolean>): VoteResult {
  const incoming = majorityVoteResult(voters, votes);
  const outgoing = majorityVoteResult(votersOutgoing, votes);
  if (incoming === outgoing) return incoming;
  return incoming === 'lost' || outgoing === 'lost' ? 'lost' : 'pending';
}
