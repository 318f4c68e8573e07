/** Maximum wait until a message was sent often enough. */
const broadcastTimeoutMs = 5000;
/** Time to keep answering probes while the message spreads to all members. */
const propagateMs = 1000;

interface DepartureSteps {
  /** Queues the leave intent; calls `onSent` once it was sent often enough. */
  readonly announce: (onSent: () => void) => void;
  /** Queues SWIM's dead message. */
  readonly depart: (now: number, onSent: () => void) => void;
}

/**
 * The steps in which a node leaves: it announces its leave, so that it does not count as failed, then departs, then
 * answers probes for a while. Every step has a timeout.
 */
export class Departure {
  readonly #steps: DepartureSteps;
  readonly #hasOthers: boolean;
  #step: 'announcing' | 'departing' | 'propagating' | 'done' = 'announcing';
  #deadline: number;
  /** True if this step's message was sent often enough, or need not be sent. */
  #sent: boolean;

  /** `hasOthers` is true if there are other members to notify. */
  constructor(steps: DepartureSteps, hasOthers: boolean, now: number) {
    this.#steps = steps;
    this.#hasOthers = hasOthers;
    this.#deadline = now + broadcastTimeoutMs;
    this.#sent = !hasOthers;
    steps.announce(() => (this.#sent = true));
  }

  get isDone(): boolean {
    return this.#step === 'done';
  }

  /** -Infinity if a step ended before its timeout. */
  get nextTickAt(): number {
    if (this.#step === 'done') return Infinity;
    return this.#sent ? -Infinity : this.#deadline;
  }

  tick(now: number): void {
    if (this.#step === 'announcing' && this.#isOver(now)) {
      this.#enter('departing', now + broadcastTimeoutMs);
      this.#steps.depart(now, () => (this.#sent = true));
      this.#sent = !this.#hasOthers;
    }
    if (this.#step === 'departing' && this.#isOver(now)) {
      this.#enter('propagating', this.#hasOthers ? now + propagateMs : now);
    }
    if (this.#step === 'propagating' && this.#isOver(now)) this.#enter('done', Infinity);
  }

  #isOver(now: number): boolean {
    return this.#sent || this.#deadline <= now;
  }

  #enter(step: 'departing' | 'propagating' | 'done', deadline: number): void {
    this.#step = step;
    this.#deadline = deadline;
    this.#sent = false;
  }
}
