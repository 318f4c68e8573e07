/**
 * The state that a node must persist before it answers (Raft §5.2, figure 2 "persistent state"). `vote` is the ID voted
 * for in `term`, 0 for none. `commit` on disk may safely lag.
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
