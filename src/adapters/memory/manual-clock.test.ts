import { describe, expect, it } from '@jest/globals';
import { ManualClock } from './manual-clock.js';

describe('ManualClock', () => {
  it('fires timers by time, then by registration, each at its own time', () => {
    const clock = new ManualClock(1_000);
    const fired: string[] = [];
    const note = (name: string) => () => fired.push(`${name}@${clock.now()}`);
    clock.after(20, note('late'));
    clock.after(10, note('first'));
    clock.after(10, note('second'));
    clock.after(31, note('beyond'));
    clock.advance(30);
    expect(fired).toEqual(['first@10', 'second@10', 'late@20']);
    expect([clock.now(), clock.wallClockMs()]).toEqual([30, 1_030]);
    expect(clock.pending).toBe(1);
  });

  it('fires timers that a callback sets within the span, and no cancelled ones', () => {
    const clock = new ManualClock(0);
    const fired: number[] = [];
    const cancel = clock.after(7, () => fired.push(-1));
    clock.after(5, () => {
      cancel();
      clock.after(5, () => fired.push(clock.now()));
    });
    clock.advance(10);
    expect(fired).toEqual([10]);
    clock.advance(100);
    expect(fired).toEqual([10]);
  });

  it('does not fire during registration, even with a delay of zero', () => {
    const clock = new ManualClock(0);
    let fired = false;
    clock.after(0, () => (fired = true));
    expect(fired).toBe(false);
    clock.advance(0);
    expect(fired).toBe(true);
  });
});
