import type { Log } from '../../domain/log/log.js';
import { toIndex } from '../../domain/log/offsets.js';
import type { EntryId } from '../../domain/raft/entry-id.js';

/** The terms at whose beginnings two histories are compared. */
const termsMax = 4;

/**
 * Returns the last entry that a node knows to be committed, and the entries around the beginning of its term and of a few
 * terms before: where two histories differ, a term begins at another entry. Empty if the log does not store them, and if
 * it ends before the commit index: it may be an older copy, and end with entries that were never committed.
 */
export async function committedEntriesOf(
  log: Pick<Log, 'startIndex' | 'lastIndex' | 'termAt'>,
  commit: number,
): Promise<EntryId[]> {
  const found: EntryId[] = [];
  let index = commit;
  if (index > log.lastIndex) return found;
  try {
    for (let count = 0; count < termsMax && index >= log.startIndex; count++) {
      const term: number = await log.termAt(toIndex(index));
      const begin = await beginOf(log, term, index);
      found.push({ index, term }, ...(begin < index ? [{ index: begin, term }] : []));
      index = begin - 1;
    }
  } catch {
    // The log is damaged there.
  }
  return found;
}

/** Returns the first entry of the term of the entry at `index`: terms never decrease along a log. */
async function beginOf(log: Pick<Log, 'startIndex' | 'termAt'>, term: number, index: number): Promise<number> {
  let [low, high] = [Number(log.startIndex), index];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((await log.termAt(toIndex(middle))) === term) high = middle;
    else low = middle + 1;
  }
  return low;
}
