import { CorruptRangeError } from '../../domain/log/errors.js';
import type { HardStateFile } from '../../domain/log/hard-state-file.js';
import type { Log } from '../../domain/log/log.js';
import { toIndex } from '../../domain/log/offsets.js';
import type { StoredConfiguration } from '../configuration/configuration.js';
import type { LeaderView } from '../ports/join-transport.js';

/**
 * A node has lost entries that it acknowledged, for example because its data directory was replaced by an older copy.
 * It may no longer run Raft under its id: what it promised under that id counts for commits and elections.
 */
export class AmnesiacError extends Error {
  override readonly name = 'AmnesiacError';
  constructor(
    /** The index of the entry. */
    readonly acknowledged: number,
    readonly lastIndex: number,
  ) {
    super(
      `this node acknowledged entry ${acknowledged}, but its log, which ends at ${lastIndex}, lacks that entry: ` +
        'its data directory is an older copy or lost files. Restart the node: it then joins under a new Raft id',
    );
  }
}

export interface OwnState {
  readonly log: Pick<Log, 'startIndex' | 'lastIndex' | 'quarantined' | 'termAt'>;
  readonly hardState: Pick<HardStateFile, 'current'>;
  readonly stored: Pick<StoredConfiguration, 'id' | 'damagedFrom' | 'repairing'>;
}

/**
 * Whether the node, which does not run Raft yet and is member `id` for that leader, lacks entries that it acknowledged
 * to the leader. Entries that a repair of the log will fetch do not count as lost. A leader of an earlier term than the
 * node's own proves nothing: a later leader may have replaced the acknowledged entries.
 */
export async function hasForgotten(
  { log, hardState, stored }: OwnState,
  id: number,
  { term, acknowledged, votes }: LeaderView,
): Promise<boolean> {
  // It has run Raft under an id that its disk does not know.
  if (id > stored.id && (votes || acknowledged.index > 0)) return true;
  if (term < hardState.current.term) return false;
  if (log.quarantined.length > 0 || stored.repairing !== undefined || stored.damagedFrom !== undefined) return false;
  const { index } = acknowledged;
  if (index > log.lastIndex) return true;
  if (acknowledged.term === 0 || index < log.startIndex - 1) return false;
  try {
    return (await log.termAt(toIndex(index))) !== acknowledged.term;
  } catch (error) {
    if (error instanceof CorruptRangeError) return false;
    throw error;
  }
}
