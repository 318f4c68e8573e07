import type { EpochMs } from '../../domain/log/offsets.js';

/** The only source of time. */
export interface Clock {
  /** Wall-clock time. May jump. */
  now(): EpochMs;
  /** Calls `callback` once after `ms` of monotonic time, unless the returned function is called first. */
  after(ms: number, callback: () => void): () => void;
}

export const Clock = Symbol('Clock');
