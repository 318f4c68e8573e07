import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../adapters/memory/manual-clock.js';
import { ClusterTime } from './cluster-time.js';

const hourMs = 3_600_000;
const startMs = 1_700_000_000_000;

/** The time at node 1 of a group, whose members told their clocks: how far each is ahead. */
function timeOf(voters: readonly number[], aheadMs: Readonly<Record<number, number>> = {}) {
  const clock = new ManualClock(startMs);
  const time = new ClusterTime(clock, { id: 1, voters: () => voters });
  for (const [id, ahead] of Object.entries(aheadMs)) time.heard(Number(id), startMs + ahead, true);
  return { clock, time };
}

describe('the retention clock', () => {
  it('is the least of the wall clock, the time since the start, and the median of the voters', () => {
    const { clock, time } = timeOf([1, 2, 3], { 2: 0, 3: 0 });
    clock.jump(hourMs);
    expect(time.retentionClock()).toBe(startMs);
    clock.jump(-2 * hourMs);
    expect(time.retentionClock()).toBe(startMs - hourMs);
    expect(timeOf([1, 2, 3], { 2: -10, 3: -20 }).time.retentionClock()).toBe(startMs - 10);
  });

  it('goes by the earlier one of two in the middle', () => {
    expect(timeOf([1, 2, 3], { 2: -hourMs }).time.retentionClock()).toBe(startMs - hourMs);
    expect(timeOf([1, 2], { 2: hourMs }).time.retentionClock()).toBe(startMs);
  });

  it('counts a clock for a minute after it was heard, and moves it on until then', () => {
    const { clock, time } = timeOf([1, 2, 3], { 2: -500 });
    clock.advance(60_000);
    expect(time.retentionClock()).toBe(startMs + 60_000 - 500);
    clock.advance(1);
    expect(time.retentionClock()).toBeUndefined();
    time.heard(3, startMs + 60_001, true);
    expect(time.retentionClock()).toBe(startMs + 60_001);
  });

  it('bears any clock that a member can tell', () => {
    const { clock, time } = timeOf([1, 2], {});
    time.heard(2, Number.MAX_SAFE_INTEGER, true);
    clock.advance(10);
    expect(time.retentionClock()).toBe(startMs + 10);
    time.heard(2, 0, true);
    expect(time.retentionClock()).toBe(0);
  });

  it('is not known without a majority of the voters', () => {
    expect(timeOf([1, 2, 3]).time.retentionClock()).toBeUndefined();
    expect(timeOf([1, 2, 3, 4, 5], { 2: 0 }).time.retentionClock()).toBeUndefined();
    expect(timeOf([2, 3, 4], { 2: 0 }).time.retentionClock()).toBeUndefined();
    expect(timeOf([2, 3, 4], { 2: 0, 9: 0 }).time.retentionClock()).toBeUndefined();
    expect(timeOf([2, 3, 4], { 2: 0, 3: 0 }).time.retentionClock()).toBe(startMs);
  });

  it('has two terms at a single node and at a replica', () => {
    const single = timeOf([1]);
    single.clock.jump(hourMs);
    expect(single.time.retentionClock()).toBe(startMs);
    const clock = new ManualClock(startMs);
    clock.jump(-hourMs);
    expect(new ClusterTime(clock).retentionClock()).toBe(startMs - hourMs);
  });
});

describe('the clock of appends', () => {
  it('is the median of the voters, and the later one of two', () => {
    const { clock, time } = timeOf([1, 2, 3], { 2: 5, 3: -5 });
    clock.jump(-hourMs);
    expect(time.appendClock()).toBe(startMs - 5);
    expect(timeOf([1, 2, 3], { 2: hourMs, 3: -hourMs }).time.appendClock()).toBe(startMs);
    expect(timeOf([1, 2, 3], { 2: 5 }).time.appendClock()).toBe(startMs + 5);
  });

  it('is the own wall clock without the others', () => {
    const { clock, time } = timeOf([1, 2, 3]);
    clock.jump(hourMs);
    expect(time.appendClock()).toBe(startMs + hourMs);
  });
});

describe('a clock to pass on', () => {
  it('was told by the member itself in the last minute', () => {
    const { clock, time } = timeOf([1, 2, 3], { 2: 7 });
    time.heard(3, startMs, false);
    clock.advance(10);
    expect([1, 2, 3, 4].map((id) => time.toForward(id))).toEqual([startMs + 10, startMs + 17, undefined, undefined]);
    clock.advance(60_000);
    expect(time.toForward(2)).toBeUndefined();
  });

  it('is not replaced by what another one says', () => {
    const { time } = timeOf([1, 2, 3], { 2: 7 });
    time.heard(2, startMs + hourMs, false);
    expect(time.toForward(2)).toBe(startMs + 7);
  });
});

it('tells by how much the own wall clock differs from the others', () => {
  const { clock, time } = timeOf([1, 2, 3], { 2: 0, 3: 0 });
  clock.jump(hourMs);
  expect(time.wallClockAheadMs()).toBe(hourMs);
  expect(timeOf([1, 2, 3], { 2: hourMs, 3: hourMs }).time.wallClockAheadMs()).toBe(-hourMs);
});
