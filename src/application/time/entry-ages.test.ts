import { describe, expect, it } from '@jest/globals';
import type { MonotonicMs } from '../ports/clock.js';
import { EntryAges } from './entry-ages.js';

const at = (ms: number): MonotonicMs => ms as MonotonicMs;

describe('the ages of entries', () => {
  it('count from when this process had them', () => {
    const ages = new EntryAges(7, at(0));
    ages.note(9, at(100), 1_000);
    ages.note(12, at(500), 1_000);
    const olds = [1_000, 1_001, 1_100, 1_101, 1_500, 1_501].map((ms) => ages.surelyOld(1_000, at(ms)));
    expect(olds).toEqual([0, 7, 7, 9, 9, 12]);
  });

  it('are not known of what was there at the start', () => {
    const ages = new EntryAges(7, at(0));
    ages.note(9, at(100), 1_000);
    const olds = [0, 1_100, 1_101].map((ms) => ages.maybeOld(1_000, at(ms)));
    expect(olds).toEqual([7, 7, 9]);
  });

  it('are at most a little too low, however often the log was seen', () => {
    const ages = new EntryAges(0, at(0));
    for (let ms = 0; ms <= 100_000; ms++) ages.note(ms + 1, at(ms), 6_400);
    expect(ages.surelyOld(6_400, at(100_000))).toBeGreaterThan(100_000 - 6_400 - 101);
    expect(ages.surelyOld(6_400, at(100_000))).toBeLessThanOrEqual(100_000 - 6_400);
  });
});
