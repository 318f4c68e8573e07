import { expect, it } from '@jest/globals';
import { Awareness } from './awareness.js';

// From memberlist's awareness_test.go.
it('scores from 0 to one below the maximum, and scales times', () => {
  const awareness = new Awareness(8);
  const scores = [
    [0, 0, 1000],
    [-1, 0, 1000],
    [-10, 0, 1000],
    [1, 1, 2000],
    [-1, 0, 1000],
    [10, 7, 8000],
    [-1, 6, 7000],
    [-1, 5, 6000],
  ];
  for (const [delta, score, ms] of scores) {
    awareness.apply(delta ?? 0);
    expect([awareness.score, awareness.scale(1000)]).toEqual([score, ms]);
  }
});
