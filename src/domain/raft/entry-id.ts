/** Names an entry: two logs that hold the same id are the same up to it (Raft §5.3, log matching). */
export interface EntryId {
  readonly term: number;
  readonly index: number;
}
