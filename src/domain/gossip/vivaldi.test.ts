import { describe, expect, it } from '@jest/globals';
import type { Coordinate } from './message.js';
import { Vivaldi, distance } from './vivaldi.js';

/** Returns a generator of numbers in [0, 1), with the same sequence in each run. */
function chance(): () => number {
  let state = 7;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state / 2 ** 32;
  };
}

const far: Coordinate = { adjustment: 0, error: 1.5, height: 10e-6, vector: [0.3, 0, 0, 0, 0, 0, 0, 0] };

describe('Vivaldi', () => {
  // From serf's performance_test.go: nodes on a line, 10 ms apart.
  it('learns the distances of nodes on a line', () => {
    const random = chance();
    const nodes = Array.from({ length: 10 }, () => new Vivaldi(random));
    const truth = (a: number, b: number) => Math.abs(a - b) * 0.01;
    for (let round = 0; round < 1000; round += 1) {
      for (const [index, node] of nodes.entries()) {
        const other = Math.floor(random() * nodes.length);
        if (other !== index) node.update(`n${other}`, nodes[other].coordinate, truth(index, other));
      }
    }
    const errors = nodes.flatMap((a, index) =>
      nodes.flatMap((b, other) =>
        other === index
          ? []
          : [Math.abs(distance(a.coordinate, b.coordinate) - truth(index, other)) / truth(index, other)],
      ),
    );
    const average = errors.reduce((sum, error) => sum + error, 0) / errors.length;
    expect(average).toBeLessThan(0.05);
  });

  it.each([
    { what: 'NaN', other: { ...far, error: NaN }, seconds: 0.1 },
    { what: 'infinity', other: { ...far, vector: [Infinity, 0, 0, 0, 0, 0, 0, 0] }, seconds: 0.1 },
    { what: 'other dimensions', other: { ...far, vector: [1, 2] }, seconds: 0.1 },
    { what: 'a negative time', other: far, seconds: -1 },
    { what: 'more than ten seconds', other: far, seconds: 10.1 },
  ])('rejects $what', ({ other, seconds }) => {
    const vivaldi = new Vivaldi(chance());
    const before = vivaldi.coordinate;
    expect(vivaldi.update('other', other, seconds)).toBe(false);
    expect(vivaldi.coordinate).toBe(before);
  });

  it('uses the median of the last three times', () => {
    const steady = new Vivaldi(chance());
    const disturbed = new Vivaldi(chance());
    for (const seconds of [0.1, 0.1, 0.1, 0.1]) steady.update('other', far, seconds);
    for (const seconds of [0.1, 0.1, 9, 0.1]) disturbed.update('other', far, seconds);
    expect(disturbed.coordinate).toEqual(steady.coordinate);
  });

  it('starts over when a hostile coordinate drives it to infinity', () => {
    const vivaldi = new Vivaldi(chance());
    vivaldi.update('other', { ...far, height: 1e308, vector: far.vector.map(() => 1e308) }, 0.1);
    expect(Object.values(vivaldi.coordinate).flat().every(Number.isFinite)).toBe(true);
  });
});
