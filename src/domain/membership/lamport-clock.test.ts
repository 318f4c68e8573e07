import { describe, expect, it } from '@jest/globals';
import { LamportClock, lamportTimeMax } from './lamport-clock.js';

describe('a Lamport clock', () => {
  it('starts at 1, counts, and is later than whatever it saw', () => {
    const clock = new LamportClock();
    const times = [clock.time];
    for (const seen of [0, 1, 41, 41, 12]) {
      clock.witness(seen);
      times.push(clock.time);
    }
    clock.increment();
    expect([...times, clock.time]).toEqual([1, 1, 2, 42, 42, 42, 43]);
  });

  it('does not believe a time from which it could not count on', () => {
    const clock = new LamportClock();
    clock.witness(Number.MAX_SAFE_INTEGER);
    expect(clock.time).toBe(1);
    clock.witness(lamportTimeMax);
    clock.increment();
    expect(clock.time).toBe(lamportTimeMax + 2);
  });
});
