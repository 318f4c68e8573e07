import { describe, expect, it } from '@jest/globals';
import { restoreMembership } from './conf-changer.js';
import type { ConfState } from './conf-state.js';
import { confState } from './conf-state.js';
import { describeConfig, describeProgressMap, ProgressTracker } from './progress-tracker.js';
import { unboundedIndex } from './quorum.js';

function tracker(state: Partial<ConfState>): ProgressTracker {
  const made = new ProgressTracker(4, 0);
  made.configure(restoreMembership(confState(state), { lastIndex: 10, newInflights: () => made.newInflights() }));
  return made;
}

describe('ProgressTracker', () => {
  it('visits members in ascending order of IDs, whatever the order of the input', () => {
    const visited: number[] = [];
    const members = tracker({ voters: [10, 2, 1], learners: [9, 3] });
    members.visit((id) => visited.push(id));
    expect(visited).toEqual([1, 2, 3, 9, 10]);
    expect([members.voterNodes(), members.learnerNodes()]).toEqual([
      [1, 2, 10],
      [3, 9],
    ]);
  });

  it('commits what both majorities hold; learners do not count', () => {
    const members = tracker({ voters: [1, 2, 3], votersOutgoing: [1, 4], learners: [5] });
    const matches: Record<number, number> = { 1: 9, 2: 8, 3: 2, 4: 6, 5: 100 };
    members.visit((id, progress) => progress.maybeUpdate(matches[id] ?? 0));
    expect(members.committed()).toBe(6);
    expect(members.voterNodes()).toEqual([1, 2, 3, 4]);
    expect(new ProgressTracker(1, 0).committed()).toBe(unboundedIndex);
  });

  it('is a singleton only with one voter and without a joint configuration', () => {
    expect(tracker({ voters: [1], learners: [2] }).isSingleton).toBe(true);
    expect(tracker({ voters: [1, 2] }).isSingleton).toBe(false);
    const joint = tracker({ voters: [1], votersOutgoing: [1] });
    expect([joint.isSingleton, joint.isJoint]).toEqual([false, true]);
  });

  it('finds a quorum active in both halves, without its learners', () => {
    const members = tracker({ voters: [1, 2, 3], votersOutgoing: [4], learners: [5] });
    const active = (...ids: number[]) => {
      members.visit((id, progress) => (progress.recentActive = ids.includes(id)));
      return members.quorumActive();
    };
    expect(active(1, 2)).toBe(false);
    expect(active(1, 2, 4)).toBe(true);
    expect(active(1, 4, 5)).toBe(false);
  });

  it('counts the first vote of each voter', () => {
    const members = tracker({ voters: [1, 2, 3], learners: [4] });
    members.recordVote(1, true);
    members.recordVote(1, false);
    members.recordVote(4, true);
    members.recordVote(9, true);
    members.recordVote(2, false);
    expect(members.tallyVotes()).toEqual({ granted: 1, rejected: 1, result: 'pending' });
    members.recordVote(3, true);
    expect(members.tallyVotes()).toEqual({ granted: 2, rejected: 1, result: 'won' });
    members.resetVotes();
    expect(members.tallyVotes()).toEqual({ granted: 0, rejected: 0, result: 'pending' });
  });

  it('is described by its configuration and a line per member', () => {
    const members = tracker({
      voters: [3, 1],
      votersOutgoing: [2, 1],
      learners: [5],
      learnersNext: [2],
      autoLeave: true,
    });
    expect(describeConfig(members.config)).toBe('voters=(1 3)&&(1 2) learners=(5) learners_next=(2) autoleave');
    expect(describeProgressMap(members.progress)).toBe(
      '1: StateProbe match=0 next=10\n2: StateProbe match=0 next=10\n' +
        '3: StateProbe match=0 next=10\n5: StateProbe match=0 next=10 learner\n',
    );
    expect(describeConfig(new ProgressTracker(1, 0).config)).toBe('voters=()');
  });
});
