import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { systemClock } from './system-clock.js';

describe('systemClock', () => {
  beforeEach(() => void jest.useFakeTimers({ now: 5_000 }));
  afterEach(() => void jest.useRealTimers());

  it('measures durations apart from the wall clock', () => {
    const [now, steady] = [systemClock.now(), systemClock.steadyClockMs()];
    jest.advanceTimersByTime(1_000);
    jest.setSystemTime(1);
    expect(systemClock.now() - now).toBe(1_000);
    expect(systemClock.steadyClockMs() - steady).toBe(1_000);
    expect(systemClock.wallClockMs()).toBe(1);
  });

  it('calls back once', () => {
    let calls = 0;
    systemClock.after(100, () => calls++);
    expect(systemClock.wallClockMs()).toBe(5_000);
    jest.advanceTimersByTime(99);
    expect(calls).toBe(0);
    jest.advanceTimersByTime(1_000);
    expect(calls).toBe(1);
  });

  it('waits longer than a Node timer can', () => {
    const days = 24 * 60 * 60 * 1000;
    let calls = 0;
    systemClock.after(30 * days, () => calls++);
    jest.advanceTimersByTime(29 * days);
    expect(calls).toBe(0);
    jest.advanceTimersByTime(1 * days);
    expect(calls).toBe(1);
  });

  it('cancels, even after a long timer was rearmed', () => {
    const days = 24 * 60 * 60 * 1000;
    let calls = 0;
    const cancel = systemClock.after(30 * days, () => calls++);
    jest.advanceTimersByTime(26 * days);
    cancel();
    jest.advanceTimersByTime(10 * days);
    expect(calls).toBe(0);
  });
});
