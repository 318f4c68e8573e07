/** In the test runner each look at a global is slow. */
const { imul } = Math;

/** Numbers of [0, 1), the same sequence for the same seed. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The seeds of this run: those of MEMBERSHIP_SEED, or `usual`. */
export function seeds(usual: readonly number[]): readonly number[] {
  const fromOutside = process.env['MEMBERSHIP_SEED'];
  return fromOutside === undefined ? usual : fromOutside.split(',').map(Number);
}
