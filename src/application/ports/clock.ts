import type { EpochMs } from '../../domain/log/offsets.js';

/** The only source of time. */
export interface Clock {
  /** Wall-clock time. May jump. */
  now(): EpochMs;
  /** Calls `callback` once after `ms` of monotonic time, unless the returned function is called first. */
  after(ms: number, callback: () => void): () => void;
  /**
   * Calls `callback` once, after everything that has already arrived was read: to do one piece of work instead of many.
   */
  soon(callback: () => void): void;
}

export const Clock = Symbol('Clock');
