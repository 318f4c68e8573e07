/** How long a suspicion lasts in all, once `confirmations` of the expected ones have come (Lifeguard §IV-B). */
export function suspicionMs(confirmations: number, expected: number, minMs: number, maxMs: number): number {
  if (expected < 1) return minMs;
  const share = Math.log(confirmations + 1) / Math.log(expected + 1);
  return Math.max(minMs, Math.floor(maxMs - share * (maxMs - minMs)));
}

/** The time that a suspected member has to refute; shorter, the more others suspect it too. */
export class Suspicion {
  readonly #start: number;
  readonly #expected: number;
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #accuser: string;
  readonly #confirmers = new Set<string>();
  #remindAt: number;

  /** Lasts from `minMs`, with `expected` confirmations or where none is expected, to `maxMs`, with none. */
  constructor(accuser: string, expected: number, minMs: number, maxMs: number, now: number) {
    this.#accuser = accuser;
    this.#expected = expected;
    this.#minMs = minMs;
    this.#maxMs = maxMs;
    this.#start = now;
    this.#remindAt = now + minMs / 2;
  }

  /** When the suspect is to be told that it is suspected: twice in the shortest time. */
  get remindAt(): number {
    return this.#remindAt;
  }

  reminded(now: number): void {
    this.#remindAt = now + this.#minMs / 2;
  }

  /** From then on the member counts as dead. A confirmation may bring it into the past. */
  get deadline(): number {
    return this.#start + suspicionMs(this.#confirmers.size, this.#expected, this.#minMs, this.#maxMs);
  }

  /** Whether this is news: another than the accuser, for the first time, and still needed. */
  confirm(from: string): boolean {
    if (this.#confirmers.size >= this.#expected) return false;
    if (from === this.#accuser || this.#confirmers.has(from)) return false;
    this.#confirmers.add(from);
    return true;
  }
}
