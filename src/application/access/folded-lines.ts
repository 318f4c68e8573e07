const everyMs = 10_000;
const kindsMax = 200;

/**
 * Folds equal log lines, so that no caller can flood the log: the first of a kind is logged at once, those of the next
 * ten seconds are counted and logged as one. Where there are too many kinds, the rest counts as one kind.
 */
export class FoldedLines {
  readonly #more = new Map<string, number>();

  constructor(private readonly after: (ms: number, callback: () => void) => unknown) {}

  /**
   * Calls `log` at once or not at all, and later with the number of folded lines, if there are any.
   *
   * @param rest logs the lines of kinds above the most that are told apart; `more` counts them
   */
  add(kind: string, log: (more: number | undefined) => void, rest: (more: number) => void): void {
    const isRest = !this.#more.has(kind) && this.#more.size >= kindsMax;
    const counted = isRest ? '' : kind;
    const more = this.#more.get(counted);
    if (more !== undefined) {
      this.#more.set(counted, more + 1);
      return;
    }
    this.#more.set(counted, isRest ? 1 : 0);
    if (!isRest) log(undefined);
    this.after(everyMs, () => {
      const folded = this.#more.get(counted) ?? 0;
      this.#more.delete(counted);
      if (folded === 0) return;
      if (isRest) rest(folded);
      else log(folded);
    });
  }
}
