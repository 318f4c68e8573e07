import type { EpochMs } from '../../domain/log/offsets.js';

declare const monotonic: unique symbol;
/** Whole milliseconds since an arbitrary moment. They never go back and never jump. */
export type MonotonicMs = number & { readonly [monotonic]: true };

/** The only source of time. */
export interface Clock {
  /** The monotonic clock: for durations, which are differences between two of its times. */
  now(): MonotonicMs;
  /** The wall clock: for times that other nodes and people read. It may be wrong, and may jump. */
  wallClockMs(): EpochMs;
  /** The wall clock when this process started, plus the monotonic time since. It may be wrong, and never jumps. */
  steadyClockMs(): EpochMs;
  /** Calls `callback` once after `ms` of monotonic time, unless the returned function is called first. */
  after(ms: number, callback: () => void): () => void;
  /**
   * Calls `callback` once, after everything that has already arrived was read: to do one piece of work instead of many.
   */
  soon(callback: () => void): void;
}

export const Clock = Symbol('Clock');
