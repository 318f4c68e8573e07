/** Identifies an entry: two logs that contain the same ID are equal up to it (Raft §5.3, log matching). */
export interface EntryId {
  readonly term: number;
  readonly index: number;
}

/** Orders as elections do: the log whose last entry has the later term, or the higher index in it, is ahead (Raft §5.4.1). */
export function compareEntryIds(a: EntryId, b: EntryId): number {
  return a.term - b.term || a.index - b.index;
}
