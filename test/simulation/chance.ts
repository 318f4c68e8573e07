import { randomInteger, seededRandom, type Random } from '../../src/adapters/memory/seeded-random.js';

/** A source of randomness, from which each subsystem takes its own, so that draws of one never shift the others. */
export class Chance {
  readonly #random: Random;

  constructor(private readonly seed: number) {
    this.#random = seededRandom(seed);
  }

  /** Returns a separate source, the same for the same name. */
  fork(name: string): Chance {
    let mixed = this.seed ^ 0x9e3779b9;
    for (let at = 0; at < name.length; at++) mixed = Math.imul(mixed ^ name.charCodeAt(at), 0x01000193) >>> 0;
    return new Chance(mixed);
  }

  /** A number in [0, 1). */
  readonly fraction: Random = () => this.#random();

  /** An integer in [0, n). */
  readonly below = (n: number): number => Math.floor(this.#random() * n);

  /** An integer between the two, both included. */
  between(from: number, to: number): number {
    return randomInteger(this.#random, from, to);
  }

  /** Returns true in `percent` of a hundred calls. */
  percent(percent: number): boolean {
    return this.#random() * 100 < percent;
  }

  /** Throws `RangeError` if there is nothing to choose from. */
  pick<T>(choices: readonly T[]): T {
    const [picked] = choices.slice(this.below(choices.length));
    if (picked === undefined) throw new RangeError('nothing to choose from');
    return picked;
  }

  /** Returns a new array in random order. */
  shuffled<T>(of: readonly T[]): T[] {
    return of
      .map((value) => ({ value, rank: this.#random() }))
      .sort((a, b) => a.rank - b.rank)
      .map(({ value }) => value);
  }
}
