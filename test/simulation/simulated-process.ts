import type { Clock, MonotonicMs } from '../../src/application/ports/clock.js';
import { toEpochMs } from '../../src/domain/log/offsets.js';
import type { World } from './world.js';

/** The true time at the start of a run. */
export const epochMs = 1_700_000_000_000;

/**
 * One life of a program on a machine. Everything reaches it as an event through `schedule`: a process that has ended
 * never gets it, a paused one gets it late, in order.
 */
export class SimulatedProcess {
  #alive = true;
  readonly #startedAtMs: number;
  readonly #skewAtStartMs: number;
  #paused = false;
  #held: { label: string; act: () => void }[] = [];
  readonly #afterEnd = new Set<() => void>();

  constructor(
    readonly world: World,
    /** The machine and the number of its life, such as `n2.1`. */
    readonly name: string,
    /** Returns the milliseconds by which the wall clock is ahead of the world's; may be negative, and may change. */
    private readonly skewMs: () => number,
  ) {
    this.#startedAtMs = world.nowMs;
    this.#skewAtStartMs = skewMs();
  }

  get alive(): boolean {
    return this.#alive;
  }

  get paused(): boolean {
    return this.#paused;
  }

  readonly clock: Clock = {
    now: () => Math.floor(this.world.nowMs - this.#startedAtMs) as MonotonicMs,
    wallClockMs: () => toEpochMs(Math.floor(epochMs + this.world.nowMs + this.skewMs())),
    steadyClockMs: () => toEpochMs(Math.floor(epochMs + this.world.nowMs + this.#skewAtStartMs)),
    after: (ms, callback) => this.schedule(ms, 'timer', callback),
    soon: (callback) => void this.schedule(0, 'soon', callback),
  };

  /** Schedules `act` in this process, `delayMs` from now. Returns a function that cancels it. */
  schedule(delayMs: number, label: string, act: () => void): () => void {
    let cancelled = false;
    const cancel = this.world.schedule(delayMs, `${this.name} ${label}`, () =>
      this.enter(label, () => {
        if (!cancelled) act();
      }),
    );
    return () => {
      cancelled = true;
      cancel();
    };
  }

  /**
   * Runs `act` in this process as a part of the current event; later if the process is paused, never if it has ended.
   */
  enter(label: string, act: () => void): void {
    if (!this.#alive) return;
    if (this.#paused) this.#held.push({ label, act: () => this.enter(label, act) });
    else act();
  }

  /** Calls `act` when the process ends, unless the returned function is called first. */
  whenEnded(act: () => void): () => void {
    this.#afterEnd.add(act);
    return () => void this.#afterEnd.delete(act);
  }

  /** SIGKILL: nothing that it has started takes effect from here on, except through its operating system. */
  end(): void {
    this.#alive = false;
    this.#held = [];
    for (const act of this.#afterEnd) act();
    this.#afterEnd.clear();
  }

  /** SIGSTOP. */
  pause(): void {
    this.#paused = true;
  }

  /** SIGCONT: events that were held back happen now. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    const held = this.#held;
    this.#held = [];
    for (const { label, act } of held) this.world.schedule(0, `${this.name} late ${label}`, act);
  }
}
