/** Returns the total duration of a suspicion after `confirmations` of the expected ones (Lifeguard §IV-B). */
export function suspicionMs(confirmations: number, expected: number, minMs: number, maxMs: number): number {
  if (expected < 1) return minMs;
  const share = Math.log(confirmations + 1) / Math.log(expected + 1);
  return Math.max(minMs, Math.floor(maxMs - share * (maxMs - minMs)));
}

/** A suspicion with its timeout, in which the member can refute it; the more members confirm it, the shorter. */
export class Suspicion {
  readonly #start: number;
  readonly #expected: number;
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #accuser: string;
  readonly #confirmers = new Set<string>();
  #remindAt: number;

  /** Lasts `maxMs` without confirmations, down to `minMs` with `expected` ones, or if none is expected. */
  constructor(accuser: string, expected: number, minMs: number, maxMs: number, now: number) {
    this.#accuser = accuser;
    this.#expected = expected;
    this.#minMs = minMs;
    this.#maxMs = maxMs;
    this.#start = now;
    this.#remindAt = now + minMs / 2;
  }

  /** The time of the next reminder to the suspect; two reminders fit into `minMs`. */
  get remindAt(): number {
    return this.#remindAt;
  }

  reminded(now: number): void {
    this.#remindAt = now + this.#minMs / 2;
  }

  /** The time from which the member counts as dead. A confirmation may move it into the past. */
  get deadline(): number {
    return this.#start + suspicionMs(this.#confirmers.size, this.#expected, this.#minMs, this.#maxMs);
  }

  /** Counts a confirmation; returns true if it is new, not from the accuser, and still needed. */
  confirm(from: string): boolean {
    if (this.#confirmers.size >= this.#expected) return false;
    if (from === this.#accuser || this.#confirmers.has(from)) return false;
    this.#confirmers.add(from);
    return true;
  }
}
