/** This node's health score: a slow node must not declare others dead (Lifeguard §IV-A). */
export class Awareness {
  readonly #max: number;
  #score = 0;

  /** The score stays below `max`. */
  constructor(max: number) {
    this.#max = max;
  }

  /** 0 is healthy. */
  get score(): number {
    return this.#score;
  }

  apply(delta: number): void {
    this.#score = Math.min(this.#max - 1, Math.max(0, this.#score + delta));
  }

  /** Lengthens a time according to the score. */
  scale(ms: number): number {
    return ms * (this.#score + 1);
  }
}
