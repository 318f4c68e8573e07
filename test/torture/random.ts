/** A source of random numbers, the same for the same seed (mulberry32). */
export class Random {
  #state: number;

  constructor(private readonly seed: number) {
    this.#state = seed >>> 0;
  }

  /** Returns a separate source, the same for the same name, so that draws of one never shift those of another. */
  fork(name: string): Random {
    let mixed = this.seed;
    for (const character of name) mixed = Math.imul(mixed ^ character.charCodeAt(0), 0x01000193) >>> 0;
    return new Random(mixed);
  }

  /** A number in [0, 1). */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer in [0, n). */
  below(n: number): number {
    return Math.floor(this.fraction() * n);
  }

  /** An integer between the two, both included. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  /** Returns true in `percent` of a hundred calls. */
  percent(percent: number): boolean {
    return this.fraction() * 100 < percent;
  }

  /** Throws `RangeError` if there is nothing to choose from. */
  pick<T>(choices: readonly T[]): T {
    if (choices.length === 0) throw new RangeError('nothing to choose from');
    return choices[this.below(choices.length)];
  }

  /** Returns a new array in random order. */
  shuffled<T>(items: readonly T[]): T[] {
    return items
      .map((item) => ({ item, rank: this.fraction() }))
      .sort((a, b) => a.rank - b.rank)
      .map(({ item }) => item);
  }
}
