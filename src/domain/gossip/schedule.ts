/** Something that is to be done again and again, first after a random part of its interval. */
export class Schedule {
  readonly #intervalMs: () => number;
  #at: number;

  constructor(now: number, stagger: number, intervalMs: () => number) {
    this.#intervalMs = intervalMs;
    this.#at = now + stagger * intervalMs();
  }

  get at(): number {
    return this.#at;
  }

  /** Whether the time has come; then the next is one interval later. What was missed is not made up for. */
  isDue(now: number): boolean {
    if (this.#at > now) return false;
    this.skipTo(now);
    if (this.#at <= now) this.#at += this.#intervalMs();
    return true;
  }

  /** Drops what would have been due before `now`. */
  skipTo(now: number): void {
    const intervalMs = this.#intervalMs();
    if (this.#at < now) this.#at += Math.ceil((now - this.#at) / intervalMs) * intervalMs;
  }
}
