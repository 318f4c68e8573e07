/**
 * Membership as it is stored in snapshots and passed to the storage (Raft §6). Lists are in ascending order.
 *
 * While `votersOutgoing` is not empty, the configuration is joint: decisions need a majority of `voters` and one of
 * `votersOutgoing`. `learnersNext` are outgoing voters that become learners when the joint configuration is left; with
 * `autoLeave`, the leader leaves it automatically.
 */
export interface ConfState {
  readonly voters: readonly number[];
  readonly votersOutgoing: readonly number[];
  readonly learners: readonly number[];
  readonly learnersNext: readonly number[];
  readonly autoLeave: boolean;
}

export const emptyConfState: ConfState = {
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

/** Builds a state; omitted lists are empty. */
export function confState(fields: Partial<ConfState>): ConfState {
  return { ...emptyConfState, ...fields };
}

/** Compares two states as sets of members, whatever the order of the lists. */
export function confStatesEqual(a: ConfState, b: ConfState): boolean {
  return (
    a.autoLeave === b.autoLeave &&
    sameIds(a.voters, b.voters) &&
    sameIds(a.votersOutgoing, b.votersOutgoing) &&
    sameIds(a.learners, b.learners) &&
    sameIds(a.learnersNext, b.learnersNext)
  );
}

function sameIds(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  const left = a.toSorted((x, y) => x - y);
  const right = b.toSorted((x, y) => x - y);
  return left.every((id, i) => id === right[i]);
}
