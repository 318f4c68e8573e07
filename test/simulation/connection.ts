import type { CommitLog } from '../../src/application/ports/commit-log.js';
import type { Machine } from './machine.js';
import type { SimulatedProcess } from './simulated-process.js';
import type { World } from './world.js';

export type Answer<T> =
  | { readonly kind: 'value'; readonly value: T }
  | { readonly kind: 'error'; readonly error: unknown }
  /** No process listens there: the call was never made. */
  | { readonly kind: 'refused' }
  /** The connection broke or the client timed out while the call was in flight. */
  | { readonly kind: 'lost' };

/**
 * A client's connection to the process that runs on a machine now. Calls arrive in the order in which they are made.
 */
export class Connection {
  readonly process: SimulatedProcess | undefined;
  /** The name of the disk of that process, for what was shown; the machine may have another one when a response arrives. */
  readonly shownAs: string;
  #lastArrivalMs = 0;
  #lastAnswerMs = 0;

  constructor(
    private readonly world: World,
    readonly machine: Machine,
    readonly name: string,
    private readonly delayMs: () => number,
  ) {
    this.process = machine.service === undefined ? undefined : machine.process;
    this.shownAs = machine.shownAs;
  }

  get isOpen(): boolean {
    return this.process?.alive === true;
  }

  /** Runs `act` in the machine's process; its signal aborts when the client times out. */
  call<T>(
    what: string,
    patienceMs: number,
    act: (service: CommitLog, signal: AbortSignal) => Promise<T>,
  ): Promise<Answer<T>> {
    const { world, process, machine } = this;
    const label = `${this.name} ${what}`;
    return new Promise((resolve) => {
      const refuse = (): void =>
        void world.schedule(this.delayMs(), `${label} refused`, () => resolve({ kind: 'refused' }));
      if (process === undefined || !process.alive) {
        refuse();
        return;
      }
      const patience = new AbortController();
      let begun = false;
      const lose = (): void => {
        stopWaiting();
        forget();
        resolve({ kind: begun ? 'lost' : 'refused' });
      };
      const stopWaiting = world.schedule(patienceMs, `${label} takes too long`, () => {
        // The call may be in flight, or held by a paused process.
        begun = true;
        process.enter('cancel', () => patience.abort());
        lose();
      });
      const forget = process.whenEnded(() => void world.schedule(this.delayMs(), `${label} reset`, lose));
      const answer = (value: Answer<T>): void => {
        this.#lastAnswerMs = Math.max(this.#lastAnswerMs, world.nowMs + this.delayMs());
        world.schedule(this.#lastAnswerMs - world.nowMs, `${label} ${value.kind}`, () => {
          stopWaiting();
          forget();
          resolve(value);
        });
      };
      this.#lastArrivalMs = Math.max(this.#lastArrivalMs, world.nowMs + this.delayMs());
      world.schedule(this.#lastArrivalMs - world.nowMs, `${label} at ${machine.name}`, () =>
        process.enter(what, () => {
          const service = machine.service;
          if (service === undefined) return;
          begun = true;
          act(service, patience.signal).then(
            (value) => answer({ kind: 'value', value }),
            (error: unknown) => answer({ kind: 'error', error }),
          );
        }),
      );
    });
  }
}
