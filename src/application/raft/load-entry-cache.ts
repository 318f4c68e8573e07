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
 * What a core starts from: all up to the commit index on disk is applied, what comes after it is read into memory. The
 * driver saves the commit index often enough for that to be little.
 */
export async function loadEntryCache({
  log,
  hardState,
  configuration,
  id,
}: Stored): Promise<{ cache: EntryCache; watermark: Offset }> {
  const { current } = hardState;
  // A log that began anew may lie behind the commit index on disk. And a configuration that is kept was committed, and
  // acted upon: a node that went back to an older one could win an election that those of the newer know nothing of.
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

/** What a group of one has on disk is committed, up to the first entry that may have made it a larger one. */
function committedAlone(before: number, entries: readonly Entry[]): number {
  const change = entries.findIndex(({ type }) => type !== 'normal');
  return before + (change === -1 ? entries.length : change + 1);
}
