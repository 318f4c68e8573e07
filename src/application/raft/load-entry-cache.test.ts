import { describe, expect, it } from '@jest/globals';
import { toIndex, toOffset, toTerm } from '../../domain/log/offsets.js';
import { BatchKind, type RecordBatch } from '../../domain/log/record-batch.js';
import { confState } from '../../domain/raft/conf-state.js';
import { batchContentOf } from './batch-entry.js';
import type { Configuration } from '../configuration/configuration.js';
import { loadEntryCache } from './load-entry-cache.js';

/** Returns a log of no-ops of term 1 in which the entries of `changes` change the configuration. */
function stored(lastIndex: number, changes: readonly number[] = []) {
  const batch = (index: number): RecordBatch => ({
    ...(changes.includes(index)
      ? batchContentOf({ type: 'conf-change-v2', data: new Uint8Array(0) })
      : { kind: BatchKind.noop, payload: new Uint8Array(0) }),
    index: toIndex(index),
    term: toTerm(1),
    baseOffset: toOffset(0),
    recordCount: 0,
    appendTimeMs: 0 as RecordBatch['appendTimeMs'],
    header: new Uint8Array(52),
  });
  return {
    startIndex: toIndex(1),
    lastIndex: toIndex(lastIndex),
    lastTerm: toTerm(1),
    endOffset: toOffset(0),
    readEntries: (from: number) => Promise.resolve([batch(from)]),
    termAt: (index: number) => Promise.resolve(toTerm(index === 0 ? 0 : 1)),
  };
}

function configurations(...history: readonly (readonly [index: number, voters: readonly number[]])[]) {
  const all = history.map(([index, voters]): Configuration => ({
    index,
    confState: confState({ voters }),
    members: [],
    lastId: 3,
    settings: {},
  }));
  return { at: (index: number) => all.findLast((each) => each.index <= index)! };
}

const committed = (commit: number) => ({ current: { term: toTerm(1), vote: 1, commit: toIndex(commit) } });

describe('loadEntryCache', () => {
  it('never returns to a configuration older than the newest that took effect', async () => {
    const configuration = configurations([0, [1]], [3, [1, 2]], [5, [1, 2, 3]]);
    const { cache } = await loadEntryCache({ log: stored(9), hardState: committed(1), configuration, id: 1 });
    expect(cache.initialState().confState.voters).toEqual([1, 2, 3]);
    expect(cache.initialState().hardState.commit).toBe(5);
    expect(cache.firstIndex()).toBe(6);
  });

  it('ignores a configuration from a snapshot whose log was never started', async () => {
    const configuration = configurations([0, [1, 2]], [50, [1, 2, 3]]);
    const { cache } = await loadEntryCache({ log: stored(9), hardState: committed(4), configuration, id: 1 });
    expect(cache.initialState().confState.voters).toEqual([1, 2]);
    expect(cache.initialState().hardState.commit).toBe(4);
  });

  it('treats the stored entries of a group of one as committed, up to a change that may have enlarged the group', async () => {
    const configuration = configurations([0, [1]]);
    const load = (changes: number[]) =>
      loadEntryCache({ log: stored(9, changes), hardState: committed(2), configuration, id: 1 });
    expect((await load([])).cache.initialState().hardState.commit).toBe(9);
    expect((await load([6, 8])).cache.initialState().hardState.commit).toBe(6);
  });
});
