import type { HardStateFile } from '../../domain/log/hard-state-file.js';
import type { Log } from '../../domain/log/log.js';
import { type Offset, toIndex } from '../../domain/log/offsets.js';
import type { Entry } from '../../domain/raft/entry.js';
import { entryOfBatch } from './batch-entry.js';
import { isOnlyVoter } from '../configuration/configuration.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import { EntryCache } from './entry-cache.js';

const readBytes = 4 * 1024 * 1024;

interface Stored {
  readonly log: Pick<Log, 'startIndex' | 'lastIndex' | 'lastTerm' | 'endOffset' | 'readEntries' | 'termAt'>;
  readonly hardState: Pick<HardStateFile, 'current'>;
  readonly configuration: Pick<ConfigurationFile, 'at'>;
  readonly id: number;
}

/**
 * Loads the state that a core starts from: everything up to the saved commit index is applied, and the entries after it
 * are read into memory. The driver saves the commit index often enough that these are few.
 */
export async function loadEntryCache({
  log,
  hardState,
  configuration,
  id,
}: Stored): Promise<{ cache: EntryCache; watermark: Offset }> {
  const { current } = hardState;
  // A log that was reset may start after the saved commit index. A stored configuration was committed and took effect:
  // with an older one, a node could win an election that the members of the newer one do not know about.
  const before = Math.max(current.commit, log.startIndex - 1, configuration.at(log.lastIndex).index);
  const entries: Entry[] = [];
  while (before + entries.length < log.lastIndex) {
    const next = toIndex(before + entries.length + 1);
    const batches = await log.readEntries(next, { until: toIndex(log.lastIndex + 1), bytesMax: readBytes });
    for (const batch of batches) entries.push(entryOfBatch(batch));
  }
  const { confState } = configuration.at(before);
  const term = Math.max(current.term, log.lastTerm);
  const cache = new EntryCache({
    hardState: {
      term,
      vote: term === current.term ? current.vote : 0,
      commit: isOnlyVoter({ confState }, id) ? committedAlone(before, entries) : before,
    },
    confState,
    before: { index: before, term: await log.termAt(toIndex(before)) },
    entries,
  });
  return { cache, watermark: entries[0]?.batch?.baseOffset ?? log.endOffset };
}

/**
 * Returns the last entry that a group of one has committed: all on disk, up to the first that may have enlarged the
 * group.
 */
function committedAlone(before: number, entries: readonly Entry[]): number {
  const change = entries.findIndex(({ type }) => type !== 'normal');
  return before + (change === -1 ? entries.length : change + 1);
}
