import { randomInteger, seededRandom, type Random } from '../../src/adapters/memory/seeded-random.js';

/** One source of chance, from which each subsystem takes a source of its own: what one draws never shifts the others. */
export class Chance {
  readonly #random: Random;

  constructor(private readonly seed: number) {
    this.#random = seededRandom(seed);
  }

  /** A source of its own, the same for the same name. */
  fork(name: string): Chance {
    let mixed = this.seed ^ 0x9e3779b9;
    for (let at = 0; at < name.length; at++) mixed = Math.imul(mixed ^ name.charCodeAt(at), 0x01000193) >>> 0;
    return new Chance(mixed);
  }

  /** In [0, 1). */
  readonly fraction: Random = () => this.#random();

  /** In [0, n). */
  readonly below = (n: number): number => Math.floor(this.#random() * n);

  /** Both included. */
  between(from: number, to: number): number {
    return randomInteger(this.#random, from, to);
  }

  /** True `percent` times of a hundred. */
  percent(percent: number): boolean {
    return this.#random() * 100 < percent;
  }

  /** Throws `RangeError` where there is nothing to choose from. */
  pick<T>(choices: readonly T[]): T {
    const [picked] = choices.slice(this.below(choices.length));
    if (picked === undefined) throw new RangeError('nothing to choose from');
    return picked;
  }

  /** A new array, in any order. */
  shuffled<T>(of: readonly T[]): T[] {
    return of
      .map((value) => ({ value, rank: this.#random() }))
      .sort((a, b) => a.rank - b.rank)
      .map(({ value }) => value);
  }
}
