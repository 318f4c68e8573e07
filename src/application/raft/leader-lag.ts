import type { Clock } from '../ports/clock.js';

export interface LeaderLagOptions {
  /** Returns the index up to which this node has applied entries. */
  readonly applied: () => number;
  /** The index of the last entry that the log had when this node started. */
  readonly lastIndexAtStart: number;
  /** A node that is further behind its leader than this has not caught up. */
  readonly toleranceMs: number;
  readonly clock: Clock;
}

/**
 * Whether a node that follows has what its leader has committed, give or take what is on its way. The leader tells its
 * commit index with every append; the time that this node needs to reach the one of a moment is how far it is behind.
 */
export class LeaderLag {
  /** The highest commit index that a leader has told. */
  #told: number | undefined;
  /** What this node has to reach, and since when. */
  #goal: number | undefined;
  #goalSince = -Infinity;
  /** Whether this node has reached a goal since it started. */
  #hasCaughtUp = false;

  constructor(private readonly options: LeaderLagOptions) {}

  /** Notes the commit index in a message of a leader. */
  note(commit: number): void {
    this.#told = Math.max(this.#told ?? 0, commit);
  }

  /** Whether this node has caught up now. Ask again and again: each answer measures from one before. */
  isCaughtUp(): boolean {
    const { applied, lastIndexAtStart, toleranceMs, clock } = this.options;
    const now = clock.now();
    if (this.#goal === undefined) this.#begin(now);
    if (this.#goal === undefined || applied() < lastIndexAtStart) return false;
    if (applied() < this.#goal) return this.#hasCaughtUp && now - this.#goalSince <= toleranceMs;
    this.#hasCaughtUp = true;
    this.#begin(now);
    return true;
  }

  #begin(now: number): void {
    this.#goal = this.#told;
    this.#goalSince = now;
  }
}
