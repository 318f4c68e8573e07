import { describe, expect, it } from '@jest/globals';
import { toEpochMs } from '../../domain/log/offsets.js';
import type { MonotonicMs } from '../ports/clock.js';
import { AppendTimes } from './append-times.js';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const startMs = 1_700_000_000_000;

/** The times of a leader whose log ends with `last`; each call names the clock and the monotonic time, from the start. */
function timesFrom(last: number) {
  const times = new AppendTimes(toEpochMs(startMs + last));
  const next = (clockMs: number, now: number): number =>
    times.next(toEpochMs(startMs + clockMs), now as MonotonicMs) - startMs;
  return { times, next };
}

describe('append times', () => {
  it('follow the clock', () => {
    const { next } = timesFrom(-500);
    expect([next(0, 0), next(10, 10), next(500, 500)]).toEqual([0, 10, 500]);
  });

  it('never go back', () => {
    const { next } = timesFrom(-500);
    expect([next(0, 0), next(-hourMs, 10), next(-hourMs, dayMs), next(5, dayMs + 5)]).toEqual([0, 0, 0, 5]);
  });

  it('exceed the one before by no more than the time that passed and a second', () => {
    const { next } = timesFrom(-500);
    next(0, 0);
    expect(next(hourMs, 100)).toBe(200);
    expect(next(hourMs, 100)).toBe(200);
    expect(next(hourMs, 10_100)).toBe(200 + 10_000 + 1_000);
  });

  it('gain no more on the clock in a jump than it lasts, whatever the number of appends', () => {
    const { next } = timesFrom(-500);
    let time = next(0, 0);
    for (let now = 1; now <= 14_000; now++) time = next(hourMs, now);
    expect(time).toBe(28_000);
  });

  it('of a new leader go on from the last time of the log', () => {
    expect(timesFrom(hourMs).next(0, 0)).toBe(hourMs);
    const { times, next } = timesFrom(0);
    next(0, 0);
    times.follow(toEpochMs(startMs + 700));
    expect(next(300, 1)).toBe(700);
  });

  it('of a new leader go on from the clock if the last time of the log is more than a day ahead', () => {
    expect(timesFrom(dayMs).next(0, 0)).toBe(dayMs);
    const { times, next } = timesFrom(dayMs + 1);
    expect(times.isImplausible(toEpochMs(startMs))).toBe(true);
    expect(next(0, 0)).toBe(0);
    expect(times.isImplausible(toEpochMs(startMs))).toBe(false);
  });

  it('go on from a clock that was corrected by more than a day, and return from one that was wrong', () => {
    const { next } = timesFrom(-500);
    next(0, 0);
    expect([next(-400 * dayMs, 10), next(-400 * dayMs + 10, 20)]).toEqual([-400 * dayMs, -400 * dayMs + 10]);
    expect([next(30, 30), next(500 * dayMs, 40)]).toEqual([30, 50]);
  });
});
