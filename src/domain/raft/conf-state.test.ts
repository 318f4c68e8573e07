import { describe, expect, it } from '@jest/globals';
import { confState, confStatesEqual } from './conf-state.js';

describe('confStatesEqual', () => {
  const joint = confState({ voters: [1, 10, 2], votersOutgoing: [3], learners: [4], learnersNext: [3] });

  it('ignores the order', () => {
    expect(confStatesEqual(joint, { ...joint, voters: [10, 2, 1] })).toBe(true);
  });

  it.each([{ voters: [1, 2] }, { votersOutgoing: [] }, { learners: [5] }, { learnersNext: [] }, { autoLeave: true }])(
    'detects %j',
    (change) => {
      expect(confStatesEqual(joint, { ...joint, ...change })).toBe(false);
    },
  );
});
