import type { Clock, MonotonicMs } from '../../application/ports/clock.js';
import { toEpochMs, type EpochMs } from '../../domain/log/offsets.js';

interface Timer {
  readonly dueMs: number;
  readonly callback: () => void;
}

/** A clock that only a test advances. */
export class ManualClock implements Clock {
  #nowMs = 0;
  readonly #steadyAheadMs: number;
  #wallClockAheadMs: number;
  /** Sorted by due time, then by registration. */
  #timers: Timer[] = [];

  constructor(wallClockMs = 1_700_000_000_000) {
    this.#steadyAheadMs = wallClockMs;
    this.#wallClockAheadMs = wallClockMs;
  }

  now(): MonotonicMs {
    return this.#nowMs as MonotonicMs;
  }

  wallClockMs(): EpochMs {
    return toEpochMs(this.#nowMs + this.#wallClockAheadMs);
  }

  steadyClockMs(): EpochMs {
    return toEpochMs(this.#nowMs + this.#steadyAheadMs);
  }

  /** Sets the wall clock forward, or back by a negative number; durations stay as they are. */
  jump(ms: number): void {
    this.#wallClockAheadMs += ms;
  }

  after(ms: number, callback: () => void): () => void {
    const timer: Timer = { dueMs: this.#nowMs + Math.max(0, ms), callback };
    const place = this.#timers.findIndex((other) => other.dueMs > timer.dueMs);
    this.#timers.splice(place === -1 ? this.#timers.length : place, 0, timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  soon(callback: () => void): void {
    queueMicrotask(callback);
  }

  /** The number of timers that have neither fired nor been cancelled. */
  get pending(): number {
    return this.#timers.length;
  }

  /**
   * Advances time by `ms` and fires the timers that become due, each at its own time: during a callback `now()` is its
   * due time, and timers that it sets within the span fire in the same call.
   */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (let due = this.#timers[0]; due && due.dueMs <= endMs; due = this.#timers[0]) {
      this.#timers.shift();
      this.#nowMs = due.dueMs;
      due.callback();
    }
    this.#nowMs = endMs;
  }
}
