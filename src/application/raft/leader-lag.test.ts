import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../adapters/memory/manual-clock.js';
import { LeaderLag } from './leader-lag.js';

function follower(lastIndexAtStart = 0) {
  const clock = new ManualClock();
  const node = { applied: 0 };
  const lag = new LeaderLag({ applied: () => node.applied, lastIndexAtStart, toleranceMs: 1_000, clock });
  return { clock, node, lag };
}

describe('the lag of a follower', () => {
  it('is unknown until a leader has told what is committed', () => {
    const { node, lag } = follower();
    node.applied = 7;
    expect(lag.isCaughtUp()).toBe(false);
    lag.note(7);
    expect(lag.isCaughtUp()).toBe(true);
  });

  it('ends once the node has what was committed when it began to fetch', () => {
    const { node, lag } = follower();
    lag.note(100);
    expect(lag.isCaughtUp()).toBe(false);
    lag.note(200);
    node.applied = 99;
    expect(lag.isCaughtUp()).toBe(false);
    node.applied = 100;
    expect(lag.isCaughtUp()).toBe(true);
  });

  it('lasts until the node has applied again what it had before it started', () => {
    const { node, lag } = follower(50);
    lag.note(40);
    node.applied = 40;
    expect(lag.isCaughtUp()).toBe(false);
    node.applied = 50;
    expect(lag.isCaughtUp()).toBe(true);
  });

  it('does not count what is on its way, however fast entries come', () => {
    const { clock, node, lag } = follower();
    lag.note(1);
    node.applied = 1;
    expect(lag.isCaughtUp()).toBe(true);
    for (let told = 100; told < 2_000; told += 100) {
      lag.note(told);
      expect(lag.isCaughtUp()).toBe(true);
      clock.advance(900);
      node.applied = told - 50;
    }
  });

  it('counts once the node needs longer than an election timeout to get there', () => {
    const { clock, node, lag } = follower();
    lag.note(10);
    node.applied = 10;
    expect(lag.isCaughtUp()).toBe(true);
    lag.note(5_000);
    expect(lag.isCaughtUp()).toBe(true);
    clock.advance(1_000);
    expect(lag.isCaughtUp()).toBe(true);
    clock.advance(1);
    expect(lag.isCaughtUp()).toBe(false);
    node.applied = 5_000;
    expect(lag.isCaughtUp()).toBe(true);
  });
});
