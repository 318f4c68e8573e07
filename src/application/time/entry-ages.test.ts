import { describe, expect, it } from '@jest/globals';
import type { MonotonicMs } from '../ports/clock.js';
import { EntryAges } from './entry-ages.js';

const at = (ms: number): MonotonicMs => ms as MonotonicMs;

describe('the ages of entries', () => {
  it('count from when they were first seen', () => {
    const ages = new EntryAges(7);
    ages.note(9, at(0), 1_000);
    ages.note(12, at(500), 1_000);
    expect(ages.olderThan(1_000, at(1_000))).toBe(7);
    expect(ages.olderThan(1_000, at(1_001))).toBe(9);
    expect(ages.olderThan(1_000, at(1_500))).toBe(9);
    expect(ages.olderThan(1_000, at(1_501))).toBe(12);
  });

  it('are at most a little too low, however often the log was seen', () => {
    const ages = new EntryAges(0);
    for (let ms = 0; ms <= 100_000; ms++) ages.note(ms + 1, at(ms), 6_400);
    expect(ages.olderThan(6_400, at(100_000))).toBeGreaterThan(100_000 - 6_400 - 101);
    expect(ages.olderThan(6_400, at(100_000))).toBeLessThanOrEqual(100_000 - 6_400);
  });

  it('are not known of what was fetched', () => {
    const ages = new EntryAges(0);
    ages.note(5, at(0), 1_000);
    ages.startOver(20);
    expect(ages.olderThan(1_000, at(0))).toBe(20);
  });
});
