import { describe, expect, it } from '@jest/globals';
import { toEpochMs } from './offsets.js';
import { newestTimes } from './retention.js';

const now = toEpochMs(1_000);
const yearMs = 365 * 86_400_000;
const newest = (...times: readonly (number | 'unreadable')[]): (number | undefined)[] =>
  newestTimes(
    times.map((time) => ({
      maxTimeMs: toEpochMs(time === 'unreadable' ? 0 : time),
      unreadable: time === 'unreadable',
    })),
    now,
  );

describe('the time of the newest record of a segment', () => {
  it('is the highest append time', () => {
    expect(newest(100, 300, 200, 1_000)).toEqual([100, 300, 200, 1_000]);
  });

  it('is that of the next segment if the append time is ahead of the clock (kafka #19137)', () => {
    expect(newest(100, 1_000 + yearMs, 300, 400)).toEqual([100, 300, 300, 400]);
    expect(newest(1_001, 1_000 + yearMs, 400)).toEqual([400, 400, 400]);
  });

  it('is not known if every later append time is ahead as well', () => {
    expect(newest(100, 1_001, 1_002)).toEqual([100, undefined, undefined]);
  });

  it('is that of the next segment for one without records that can be read', () => {
    expect(newest('unreadable', 300, 0)).toEqual([300, 300, undefined]);
  });
});
