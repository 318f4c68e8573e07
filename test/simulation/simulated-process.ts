import type { Clock } from '../../src/application/ports/clock.js';
import { toEpochMs } from '../../src/domain/log/offsets.js';
import type { World } from './world.js';

const epochMs = 1_700_000_000_000;

/**
 * One life of a program on a machine. Everything that reaches it does so as an event through `schedule`: a process that
 * has ended never hears of it, a paused one hears of it late, in order.
 */
export class SimulatedProcess {
  #alive = true;
  #paused = false;
  #held: { label: string; act: () => void }[] = [];
  readonly #afterEnd = new Set<() => void>();

  constructor(
    readonly world: World,
    /** Which machine, and which of its lives, such as `n2.1`. */
    readonly name: string,
    /** How far its wall clock is ahead of the world's; may be below 0. */
    private readonly skewMs: number,
  ) {}

  get alive(): boolean {
    return this.#alive;
  }

  get paused(): boolean {
    return this.#paused;
  }

  readonly clock: Clock = {
    now: () => toEpochMs(Math.floor(epochMs + this.world.nowMs + this.skewMs)),
    after: (ms, callback) => this.schedule(ms, 'timer', callback),
    soon: (callback) => void this.schedule(0, 'soon', callback),
  };

  /** Has `act` happen in this process, `delayMs` from now. Returns what takes it back. */
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

  /** Has `act` happen in this process as a part of the event under way: never, or later, as its state is. */
  enter(label: string, act: () => void): void {
    if (!this.#alive) return;
    if (this.#paused) this.#held.push({ label, act: () => this.enter(label, act) });
    else act();
  }

  /** Calls `act` when the process ends, unless the returned function is called before. */
  whenEnded(act: () => void): () => void {
    this.#afterEnd.add(act);
    return () => void this.#afterEnd.delete(act);
  }

  /** SIGKILL: nothing it began has an effect from here on, but what its operating system does. */
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

  /** SIGCONT: what was held back happens now. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    const held = this.#held;
    this.#held = [];
    for (const { label, act } of held) this.world.schedule(0, `${this.name} late ${label}`, act);
  }
}
