import { describe, expect, it } from '@jest/globals';
import type { Entry } from './entry.js';
import { entry, entrySize } from './entry.js';
import { MemoryStorage } from './memory-storage.js';
import { noLimit } from './config.js';
import { RaftLog } from './raft-log.js';
import { RaftPanicError, silentLogger } from './raft-logger.js';
import { CompactedError, EntriesUnavailableError, SnapshotOutOfDateError } from './storage.js';

/** Returns entries with these terms, from index `first` on. */
function run(first: number, ...terms: number[]): Entry[] {
  return terms.map((term, i) => entry({ term, index: first + i, data: Uint8Array.of(i) }));
}

function logOf(stable: readonly Entry[], unstable: readonly Entry[], notes: string[] = []): RaftLog {
  const storage = new MemoryStorage();
  storage.append(stable);
  const log = new RaftLog(storage, { ...silentLogger, info: (note) => notes.push(note) }, noLimit);
  log.append(unstable);
  return log;
}

const terms = (log: RaftLog): readonly number[] => (log.entries(log.firstIndex, noLimit) ?? []).map(({ term }) => term);

describe('the raft log', () => {
  it.each([
    { at: { index: 4, term: 2 }, sent: run(5, 3), last: 5, after: [1, 1, 2, 2, 3] },
    { at: { index: 2, term: 1 }, sent: run(3, 3, 3), last: 4, after: [1, 1, 3, 3] },
    { at: { index: 2, term: 1 }, sent: run(3, 2), last: 3, after: [1, 1, 2, 2] },
    { at: { index: 4, term: 1 }, sent: run(5, 3), last: undefined, after: [1, 1, 2, 2] },
    { at: { index: 9, term: 2 }, sent: [], last: undefined, after: [1, 1, 2, 2] },
  ])('appends entries that follow an entry it has: %j', ({ at, sent, last, after }) => {
    const log = logOf(run(1, 1, 1), run(3, 2, 2));
    expect(log.maybeAppend(at, sent, 0)).toBe(last);
    expect(terms(log)).toEqual(after);
  });

  it('never replaces committed entries', () => {
    const log = logOf(run(1, 1, 1), []);
    log.commitTo(2);
    expect(() => log.maybeAppend({ index: 1, term: 1 }, run(2, 2), 0)).toThrow(RaftPanicError);
  });

  it('commits only entries that a message covers, and never lowers the commit index', () => {
    const log = logOf(run(1, 1, 1, 1), []);
    log.maybeAppend({ index: 2, term: 1 }, [], 9);
    expect(log.committed).toBe(2);
    log.maybeAppend({ index: 1, term: 1 }, [], 1);
    expect(log.committed).toBe(2);
  });

  it('skips a run of terms that cannot match', () => {
    const log = logOf(run(1, 1, 1, 4, 4, 4), []);
    expect(log.findConflictByTerm(5, 3)).toEqual({ index: 2, term: 1 });
    expect(log.findConflictByTerm(5, 4)).toEqual({ index: 5, term: 4 });
    expect(log.findConflictByTerm(5, 0)).toEqual({ index: 0, term: 0 });
  });

  it('rewrites an entry in progress that is replaced', () => {
    const notes: string[] = [];
    const log = logOf([], run(1, 1, 1, 1), notes);
    log.unstable.acceptInProgress();
    expect(log.unstable.nextEntries()).toEqual([]);
    log.append(run(2, 2));
    expect(log.unstable.nextEntries()).toEqual(run(2, 2));
    log.stableTo({ index: 2, term: 1 });
    expect(log.unstable.offset).toBe(1);
    log.stableTo({ index: 2, term: 2 });
    expect(log.unstable.offset).toBe(3);
    log.stableTo({ index: 2, term: 2 });
    expect(notes).toEqual([
      'truncate the unstable entries before index 2',
      'entry at (index,term)=(2,1) mismatched with entry at (2,2) in unstable log; ignoring',
      'entry at index 2 missing from unstable log; ignoring',
    ]);
  });

  it('returns committed entries to apply, only durable ones where required, up to the limit', () => {
    const storage = new MemoryStorage();
    storage.append(run(1, 1, 1));
    const size = entrySize(entry({ term: 1, index: 1, data: Uint8Array.of(0) }));
    const log = new RaftLog(storage, silentLogger, 2 * size);
    log.append(run(3, 1));
    log.commitTo(3);
    expect(log.nextCommittedEntries(false).map(({ index }) => index)).toEqual([1, 2]);
    log.acceptApplying(2, 2 * size, false);
    expect(log.hasNextCommittedEntries(true)).toBe(false);
    log.appliedTo(1, size);
    expect(log.nextCommittedEntries(false)).toEqual([]);
    expect(log.nextCommittedEntries(true).map(({ index }) => index)).toEqual([3]);
  });

  it('reads across stored and unstable entries, up to a size', () => {
    const log = logOf(run(1, 1, 1), run(3, 1, 1));
    const size = entrySize(entry({ term: 1, index: 1, data: Uint8Array.of(0) }));
    const read = (bytes: number): readonly number[] | undefined => log.entries(1, bytes)?.map(({ index }) => index);
    expect(read(0)).toEqual([1]);
    expect(read(2 * size)).toEqual([1, 2]);
    expect(read(3 * size)).toEqual([1, 2, 3]);
    expect(read(noLimit)).toEqual([1, 2, 3, 4]);
  });
});

describe('MemoryStorage', () => {
  it('returns the term before its first entry, and no earlier one', () => {
    const storage = new MemoryStorage();
    storage.append(run(1, 1, 2, 3));
    storage.compact(2);
    expect(storage.firstIndex()).toBe(3);
    expect(storage.term(2)).toBe(2);
    expect(() => storage.term(1)).toThrow(CompactedError);
    expect(() => storage.term(4)).toThrow(EntriesUnavailableError);
    expect(() => storage.entries(2, 4, noLimit)).toThrow(CompactedError);
    expect(() => storage.compact(2)).toThrow(CompactedError);
  });

  it('replaces its end, ignores compacted entries, and rejects a gap', () => {
    const storage = new MemoryStorage();
    storage.append(run(1, 1, 1, 1));
    storage.append(run(2, 2));
    expect(storage.entries(1, 3, noLimit).map(({ term }) => term)).toEqual([1, 2]);
    storage.compact(1);
    storage.append(run(1, 3, 3));
    expect(storage.entries(2, 3, noLimit).map(({ term }) => term)).toEqual([3]);
    expect(() => storage.append(run(9, 3))).toThrow(EntriesUnavailableError);
  });

  it('rejects a snapshot that is not newer', () => {
    const storage = new MemoryStorage();
    storage.append(run(1, 1, 1));
    const made = storage.createSnapshot(2, undefined, new Uint8Array(0));
    expect(() => storage.applySnapshot(made)).toThrow(SnapshotOutOfDateError);
  });
});
