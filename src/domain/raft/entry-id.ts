/** Identifies an entry: two logs that contain the same ID are equal up to it (Raft §5.3, log matching). */
export interface EntryId {
  readonly term: number;
  readonly index: number;
}
