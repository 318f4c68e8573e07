import { describe, expect, it } from '@jest/globals';
import { play } from './run.js';

describe('a cluster whose majority loses its disks', () => {
  it.each([
    [3, 1],
    [5, 2],
    [5, 3],
  ])('has no second beginning beside it (%i members, seed %i)', async (nodes, seed) => {
    const { failure, marks } = await play({ seed, nodes, losesMajority: true, hostileMs: 6_000 });
    expect(failure?.detail).toBeUndefined();
    expect(marks.get('majority lost')).toBe(1);
  });
});
