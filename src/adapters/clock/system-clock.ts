import type { Clock, MonotonicMs } from '../../application/ports/clock.js';
import { toEpochMs } from '../../domain/log/offsets.js';

/** The longest delay of a Node timer; a longer one fires at once with a warning. */
const timerMsMax = 2 ** 31 - 1;

/** The wall clock when this file was loaded, at the start of the process, minus the monotonic clock then. */
const steadyAheadMs = Date.now() - Math.floor(performance.now());

/** The system's clocks and Node's timers. A timer keeps the process alive until it fires or is cancelled. */
export const systemClock: Clock = {
  now: () => Math.floor(performance.now()) as MonotonicMs,
  wallClockMs: () => toEpochMs(Date.now()),
  steadyClockMs: () => toEpochMs(steadyAheadMs + Math.floor(performance.now())),
  after(ms, callback) {
    let timer: NodeJS.Timeout;
    const arm = (msLeft: number): void => {
      const step = Math.min(msLeft, timerMsMax);
      timer = setTimeout(() => (step < msLeft ? arm(msLeft - step) : callback()), step);
    };
    arm(Math.max(0, ms));
    return () => clearTimeout(timer);
  },
  soon: (callback) => void setImmediate(callback),
};
