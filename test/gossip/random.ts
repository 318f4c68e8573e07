/** Global lookups are slow in the test runner. */
const { imul } = Math;

/** Returns a generator of numbers in [0, 1), deterministic for a seed. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Returns the seeds of this run: those of MEMBERSHIP_SEED, or `usual`. */
export function seeds(usual: readonly number[]): readonly number[] {
  const fromEnvironment = process.env['MEMBERSHIP_SEED'];
  return fromEnvironment === undefined ? usual : fromEnvironment.split(',').map(Number);
}
