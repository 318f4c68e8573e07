/** A periodic task, first due after the part `stagger` of its interval. */
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

  /** Returns true if the task is due, and schedules the next one an interval later. Missed ones are skipped. */
  isDue(now: number): boolean {
    if (this.#at > now) return false;
    this.skipTo(now);
    if (this.#at <= now) this.#at += this.#intervalMs();
    return true;
  }

  /** Skips the times before `now`. */
  skipTo(now: number): void {
    const intervalMs = this.#intervalMs();
    if (this.#at < now) this.#at += Math.ceil((now - this.#at) / intervalMs) * intervalMs;
  }
}
