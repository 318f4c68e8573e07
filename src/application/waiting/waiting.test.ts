import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../adapters/memory/manual-clock.js';
import { UnavailableError } from '../errors.js';
import { Backoff } from './backoff.js';
import { LogThrottle } from './log-throttle.js';
import { withDeadline } from './with-deadline.js';

describe('Backoff', () => {
  it('doubles up to its bound, and starts again after a success', () => {
    const backoff = new Backoff(50, 300);
    expect([backoff.next(), backoff.next(), backoff.next(), backoff.next(), backoff.next()]).toEqual([
      50, 100, 200, 300, 300,
    ]);
    backoff.reset();
    expect(backoff.next()).toBe(50);
  });

  it('spreads the waits over the upper half', () => {
    expect(new Backoff(100, 100, () => 0).next()).toBe(50);
    expect(new Backoff(100, 100, (n) => n - 1).next()).toBe(99);
  });
});

describe('LogThrottle', () => {
  it('is due at once, then each minute, and at once after a success', () => {
    const clock = new ManualClock();
    const throttle = new LogThrottle(clock);
    expect([throttle.isDue(), throttle.isDue()]).toEqual([true, false]);
    clock.advance(59_999);
    expect(throttle.isDue()).toBe(false);
    clock.advance(1);
    expect(throttle.isDue()).toBe(true);
    throttle.reset();
    expect(throttle.isDue()).toBe(true);
  });
});

describe('withDeadline', () => {
  const never = (signal: AbortSignal): Promise<never> =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));

  it('rejects with UnavailableError when the time is up, and with the reason of an abort before that', async () => {
    const clock = new ManualClock();
    const late = withDeadline(clock, 100, undefined, never);
    clock.advance(100);
    await expect(late).rejects.toEqual(new UnavailableError('no answer within 100 ms'));
    const abort = new AbortController();
    const aborted = withDeadline(clock, 100, abort.signal, never);
    abort.abort(new Error('stopped'));
    await expect(aborted).rejects.toThrow('stopped');
  });

  it('aborts the signal when the task has ended, and leaves no timer', async () => {
    const clock = new ManualClock();
    let taskSignal: AbortSignal | undefined;
    const result = await withDeadline(clock, 100, undefined, (signal) => {
      taskSignal = signal;
      return Promise.resolve('done');
    });
    expect([result, taskSignal?.aborted]).toEqual(['done', true]);
  });
});
