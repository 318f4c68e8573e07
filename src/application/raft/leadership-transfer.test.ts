import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../adapters/memory/manual-clock.js';
import { confState } from '../../domain/raft/conf-state.js';
import { Inflights } from '../../domain/raft/inflights.js';
import { Progress } from '../../domain/raft/progress.js';
import { LeadershipTransfer, type LeadershipTransferOptions } from './leadership-transfer.js';

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

interface OtherMember {
  readonly id: number;
  readonly match: number;
  /** Default: 0. */
  readonly heardMsAgo?: number;
}

const inflights = new Inflights(1, 0);

/** A leader with the id 2; no member answers its transfers. */
function leaderAmong(others: readonly OtherMember[], voters = others.map(({ id }) => id)) {
  const asked: number[] = [];
  const clock = new ManualClock();
  const loop: LeadershipTransferOptions['loop'] = {
    core: {
      transferLeader: (id) => asked.push(id),
      visitProgress: (visit) => {
        for (const { id, match } of others) visit(id, new Progress({ match, next: match + 1, inflights }));
      },
    },
    term: 1,
    leaderId: 2,
    step: (task) => task(),
    waitUntilOrTimeout: () => Promise.resolve(),
  };
  const configuration = {
    current: { index: 0, confState: confState({ voters: [2, ...voters] }), members: [], lastId: 9, settings: {} },
  };
  const filter: LeadershipTransferOptions['filter'] = {
    electionTimeoutMs: 1_000,
    heardMsAgo: (heard) => others.find(({ id }) => id === heard)?.heardMsAgo ?? 0,
  };
  const transfer = new LeadershipTransfer({
    id: 2,
    loop,
    filter,
    configuration,
    fullDisks: { includes: () => false },
    clock,
    logger: silent,
  });
  return { asked, clock, transfer };
}

describe('LeadershipTransfer', () => {
  it.each([
    ['no node, if no other is reachable', [], undefined],
    [
      'the voter that has most of the log',
      [
        { id: 1, match: 9 },
        { id: 3, match: 8 },
      ],
      1,
    ],
    [
      'the next voter by id, of several',
      [
        { id: 1, match: 9 },
        { id: 3, match: 9 },
        { id: 4, match: 9 },
      ],
      3,
    ],
    [
      'the first voter by id, after the last',
      [
        { id: 0, match: 9 },
        { id: 1, match: 9 },
      ],
      0,
    ],
    [
      'no silent voter',
      [
        { id: 1, match: 8 },
        { id: 3, match: 9, heardMsAgo: 2_000 },
      ],
      1,
    ],
  ])('chooses %s', (_, others: readonly OtherMember[], transferee) => {
    expect(leaderAmong(others).transfer.transferee()).toBe(transferee);
  });

  it('chooses no learner', () => {
    const others = [
      { id: 1, match: 8 },
      { id: 3, match: 9 },
    ];
    expect(leaderAmong(others, [1]).transfer.transferee()).toBe(1);
  });

  it('fails when the member does not lead within an election timeout', async () => {
    await expect(leaderAmong([{ id: 3, match: 1 }]).transfer.transferTo(3)).rejects.toThrow(
      'leadership transfer timed out',
    );
  });

  it('gives leadership away for want of space once, and again only half a minute later', async () => {
    const { asked, clock, transfer } = leaderAmong([{ id: 3, match: 1 }]);
    expect([transfer.transferForSpace(), transfer.transferForSpace()]).toEqual([true, true]);
    await transfer.transfer();
    expect(transfer.transferForSpace()).toBe(false);
    clock.advance(30_000);
    expect(transfer.transferForSpace()).toBe(true);
    expect(asked).toEqual([3, 3, 3]);
  });

  it('gives leadership away for want of space again at once, if the disk has had space in the meantime', async () => {
    const { asked, transfer } = leaderAmong([{ id: 3, match: 1 }]);
    expect(transfer.transferForSpace()).toBe(true);
    await transfer.transfer();
    expect(transfer.transferForSpace()).toBe(false);
    transfer.spaceReturned();
    expect(transfer.transferForSpace()).toBe(true);
    expect(asked).toEqual([3, 3, 3]);
  });

  it('gives leadership away from a disk that hangs to a voter that has acknowledged something since, once', () => {
    const others = [
      { id: 1, match: 9 },
      { id: 3, match: 9 },
      { id: 4, match: 9 },
    ];
    const { asked, clock, transfer } = leaderAmong(others);
    transfer.writeBegins();
    transfer.transferFromStalledDisk();
    expect(asked).toEqual([]);
    others[1].match = 10;
    transfer.transferFromStalledDisk();
    // Two of four could not elect one of them.
    others[0].match = 10;
    transfer.transferFromStalledDisk();
    expect(asked).toEqual([]);
    others[2].match = 11;
    transfer.transferFromStalledDisk();
    transfer.transferFromStalledDisk();
    expect(asked).toEqual([4]);
    clock.advance(29_999);
    transfer.transferFromStalledDisk();
    expect(asked).toEqual([4]);
  });

  it('tries that again half a minute later', async () => {
    const others = [
      { id: 1, match: 9 },
      { id: 3, match: 9 },
    ];
    const { asked, clock, transfer } = leaderAmong(others);
    transfer.writeBegins();
    for (const other of others) other.match = 10;
    transfer.transferFromStalledDisk();
    await transfer.transferTo(1).catch(() => undefined);
    clock.advance(30_000);
    transfer.transferFromStalledDisk();
    expect(asked).toEqual([3, 1, 3]);
  });

  it('keeps leadership if no other node can lead', () => {
    expect(leaderAmong([]).transfer.transferForSpace()).toBe(false);
  });
});
