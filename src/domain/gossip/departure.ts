/** How long to wait until the others were told. */
const broadcastTimeoutMs = 5000;
/** How long to go on answering probes, until those who were told have told the rest. */
const propagateMs = 1000;

interface DepartureSteps {
  /** Queues the leave intent; `onTold`: it was sent as often as it is to be. */
  readonly announce: (onTold: () => void) => void;
  /** Queues the dead message of SWIM. */
  readonly depart: (now: number, onTold: () => void) => void;
}

/**
 * How a node leaves: it announces it, so that nobody takes it for failed, then departs, then stays for a while to answer
 * probes. No step waits longer than its time.
 */
export class Departure {
  readonly #steps: DepartureSteps;
  readonly #hasOthers: boolean;
  #step: 'announcing' | 'departing' | 'propagating' | 'done' = 'announcing';
  #deadline: number;
  /** Whether this step's message went out, or needs not to. */
  #told: boolean;

  /** `hasOthers`: somebody is there to be told. */
  constructor(steps: DepartureSteps, hasOthers: boolean, now: number) {
    this.#steps = steps;
    this.#hasOthers = hasOthers;
    this.#deadline = now + broadcastTimeoutMs;
    this.#told = !hasOthers;
    steps.announce(() => (this.#told = true));
  }

  get isDone(): boolean {
    return this.#step === 'done';
  }

  /** -Infinity: a step ended before its time. */
  get nextTickAt(): number {
    if (this.#step === 'done') return Infinity;
    return this.#told ? -Infinity : this.#deadline;
  }

  tick(now: number): void {
    if (this.#step === 'announcing' && this.#isOver(now)) {
      this.#enter('departing', now + broadcastTimeoutMs);
      this.#steps.depart(now, () => (this.#told = true));
      this.#told = !this.#hasOthers;
    }
    if (this.#step === 'departing' && this.#isOver(now)) {
      this.#enter('propagating', this.#hasOthers ? now + propagateMs : now);
    }
    if (this.#step === 'propagating' && this.#isOver(now)) this.#enter('done', Infinity);
  }

  #isOver(now: number): boolean {
    return this.#told || this.#deadline <= now;
  }

  #enter(step: 'departing' | 'propagating' | 'done', deadline: number): void {
    this.#step = step;
    this.#deadline = deadline;
    this.#told = false;
  }
}
