import { describe, expect, it } from '@jest/globals';
import { emptyConfState } from '../../domain/raft/conf-state.js';
import type { Entry } from '../../domain/raft/entry.js';
import { CompactedError } from '../../domain/raft/storage.js';
import { EntryCache } from './entry-cache.js';

function tailOf(lastIndex: number): EntryCache {
  const entries = Array.from({ length: lastIndex }, (_, i): Entry => ({
    type: 'normal',
    index: i + 1,
    term: 1,
    data: new Uint8Array(10),
  }));
  const hardState = { term: 1, vote: 0, commit: 0 };
  return new EntryCache({ hardState, confState: emptyConfState, before: { index: 0, term: 0 }, entries });
}

describe('EntryCache', () => {
  it('holds the newest applied entries', () => {
    const cache = tailOf(10);
    cache.release(6, 50);
    expect(cache.firstIndex()).toBe(6);
    cache.release(10, 50);
    expect([cache.firstIndex(), cache.lastIndex(), cache.bytes]).toEqual([6, 10, 50]);
    expect(() => cache.term(4)).toThrow(CompactedError);
    expect(cache.snapshot().metadata).toMatchObject({ index: 10, term: 1 });
  });
});
