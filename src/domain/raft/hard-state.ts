/**
 * What a node must have on disk before it answers (Raft §5.2, figure 2 "persistent state"). `vote` is the id voted
 * for in `term`, 0 for none. `commit` may lag behind on disk without harm.
 */
export interface HardState {
  readonly term: number;
  readonly vote: number;
  readonly commit: number;
}

export const emptyHardState: HardState = { term: 0, vote: 0, commit: 0 };

export function isEmptyHardState(state: HardState): boolean {
  return hardStatesEqual(state, emptyHardState);
}

export function hardStatesEqual(a: HardState, b: HardState): boolean {
  return a.term === b.term && a.vote === b.vote && a.commit === b.commit;
}
