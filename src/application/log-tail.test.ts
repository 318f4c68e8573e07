import { describe, expect, it } from '@jest/globals';
import { emptyConfState } from '../domain/raft/conf-state.js';
import type { Entry } from '../domain/raft/entry.js';
import { CompactedError } from '../domain/raft/storage.js';
import { LogTail } from './log-tail.js';

function tailOf(lastIndex: number): LogTail {
  const entries = Array.from({ length: lastIndex }, (_, place): Entry => ({
    type: 'normal',
    index: place + 1,
    term: 1,
    data: new Uint8Array(10),
  }));
  const hardState = { term: 1, vote: 0, commit: 0 };
  return new LogTail({ hardState, confState: emptyConfState, before: { index: 0, term: 0 }, entries });
}

describe('LogTail', () => {
  it('holds of what is applied the newest', () => {
    const tail = tailOf(10);
    tail.release(6, 50);
    expect(tail.firstIndex()).toBe(6);
    tail.release(10, 50);
    expect([tail.firstIndex(), tail.lastIndex(), tail.bytes]).toEqual([6, 10, 50]);
    expect(() => tail.term(4)).toThrow(CompactedError);
    expect(tail.snapshot().metadata).toMatchObject({ index: 10, term: 1 });
  });
});
