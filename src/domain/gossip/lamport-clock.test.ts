import { describe, expect, it } from '@jest/globals';
import { LamportClock } from './lamport-clock.js';

describe('a Lamport clock', () => {
  it('starts at 1, counts, and is later than every time it witnessed', () => {
    const clock = new LamportClock();
    const times = [clock.time];
    for (const seen of [-1, 0, 1, 41, 41, 12]) {
      expect(clock.witness(seen)).toBe(true);
      times.push(clock.time);
    }
    clock.increment();
    expect([...times, clock.time]).toEqual([1, 1, 1, 2, 42, 42, 42, 43]);
    expect(new LamportClock(41).time).toBe(42);
  });

  it('rejects a time too far in the future, but moves toward it', () => {
    const clock = new LamportClock();
    expect(clock.witness(Number.MAX_SAFE_INTEGER)).toBe(false);
    const { time } = clock;
    expect(time).toBeLessThan(2 ** 33);
    expect(clock.witness(time + 10)).toBe(true);
    for (let step = 0; step < 3; step += 1) clock.witness(2 ** 34);
    expect(clock.time).toBe(2 ** 34 + 1);
  });
});
