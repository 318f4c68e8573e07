import type { Clock } from '../ports/clock.js';

/** Runs a step, and resolves at the latest when it has taken too long. */
export type Within = (step: () => unknown) => Promise<void>;

/**
 * Waits for the steps of a stop, each for a limited time: a step on a disk that hangs never ends. Once one has taken too
 * long, the later ones do not run.
 */
export class Patience {
  #isOver = false;

  constructor(
    private readonly clock: Pick<Clock, 'after'>,
    private readonly ms: number,
  ) {}

  /** Whether a step has taken too long. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Rejects if the step fails in time. */
  readonly within: Within = async (step) => {
    if (this.#isOver) return;
    let cancel = (): void => undefined;
    const over = new Promise<void>((resolve) => {
      cancel = this.clock.after(this.ms, () => {
        this.#isOver = true;
        resolve();
      });
    });
    try {
      await Promise.race([over, (async () => step())()]);
    } finally {
      cancel();
    }
  };
}
