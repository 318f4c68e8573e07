import { describe, expect, it } from '@jest/globals';
import {
  lanTiming,
  localTiming,
  pushPullIntervalMs,
  queryTimeoutMs,
  retransmitLimit,
  suspicionMinMs,
  wanTiming,
} from './timing.js';

// From memberlist's util_test.go.
describe('timing by group size', () => {
  it.each([
    { members: 5, ms: 3000 },
    { members: 10, ms: 3000 },
    { members: 50, ms: 5094 },
    { members: 100, ms: 6000 },
    { members: 500, ms: 8094 },
    { members: 1000, ms: 9000 },
  ])('the minimum suspicion timeout with $members members', ({ members, ms }) => {
    expect(suspicionMinMs(localTiming, members)).toBe(ms);
  });

  it('the number of retransmissions', () => {
    expect([0, 1, 9, 99].map((members) => retransmitLimit(lanTiming, members))).toEqual([0, 4, 4, 8]);
  });

  it('the push/pull interval', () => {
    const times = [0, 32, 33, 64, 65, 128].map((members) => pushPullIntervalMs(wanTiming, members));
    expect(times).toEqual([60_000, 60_000, 120_000, 120_000, 180_000, 180_000]);
  });

  it('the query timeout', () => {
    expect([1, 9, 10].map((members) => queryTimeoutMs(lanTiming, members))).toEqual([3200, 3200, 6400]);
  });
});
