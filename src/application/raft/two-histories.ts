import type { EntryId } from '../../domain/raft/entry-id.js';
import type { RawNode } from '../../domain/raft/raw-node.js';
import type { PeerMessage } from '../ports/peer-transport.js';

/**
 * An entry is committed here and in the cluster, in two terms: there are two histories (Raft §5.4.3 rules that out), for
 * example because disks of a majority were put back from older copies. This node is the one that must stop.
 */
export class TwoHistoriesError extends Error {
  override readonly name = 'TwoHistoriesError';
  constructor(
    readonly index: number,
    readonly ownTerm: number,
    readonly otherTerm: number,
  ) {
    super(describeHistories(index, ownTerm, otherTerm));
  }
}

/** What an operator has to know about two histories. */
export function describeHistories(index: number, ownTerm: number, otherTerm: number): string {
  return (
    `entry ${index} is committed in term ${ownTerm} on this node and in term ${otherTerm} in its cluster: there are two ` +
    'histories. The cluster goes on with the one that a majority has. To save what only this node has, read it with ' +
    'golog dump; then start it with an empty data directory. To go on with its history instead, see golog recover'
  );
}

/** Returns the proof, if a message of the leader shows that this node has committed another entry than its cluster. */
export function twoHistoriesIn(
  core: Pick<RawNode, 'basicStatus' | 'termAt'>,
  { type, term, commit, index, logTerm, entries }: PeerMessage,
): TwoHistoriesError | undefined {
  if (type !== 'MsgApp') return undefined;
  const { hardState } = core.basicStatus();
  const committed = Math.min(hardState.commit, commit);
  if (term < hardState.term || index > committed) return undefined;
  const shown: EntryId[] = [{ index, term: logTerm }, ...entries];
  for (const entry of shown) {
    if (entry.index > committed) return undefined;
    const own = entry.index === 0 ? undefined : core.termAt(entry.index);
    if (own !== undefined && own !== entry.term) return new TwoHistoriesError(entry.index, own, entry.term);
  }
  return undefined;
}
