import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { ConfChangeSingle, ConfChangeType } from './conf-change.js';
import { ConfChanger, InvalidConfChangeError, restoreMembership } from './conf-changer.js';
import type { ConfState } from './conf-state.js';
import { confState, emptyConfState } from './conf-state.js';
import { Inflights } from './inflights.js';
import type { Membership } from './progress-tracker.js';
import { describeConfig, describeProgressMap } from './progress-tracker.js';

const seed = 20_261_126;
const options = { lastIndex: 10, newInflights: () => new Inflights(4, 0) };
const types: Record<string, ConfChangeType> = {
  v: 'add-node',
  l: 'add-learner-node',
  r: 'remove-node',
  u: 'update-node',
};

function changes(text: string): ConfChangeSingle[] {
  const words = text === '' ? [] : text.split(' ');
  return words.map((word) => ({ type: types[word.charAt(0)] ?? 'update-node', nodeId: Number(word.slice(1)) }));
}

function restored(state: Partial<ConfState>): Membership {
  return restoreMembership(confState(state), options);
}

function changer(membership: Membership, lastIndex = 10): ConfChanger {
  return new ConfChanger({ ...options, lastIndex, membership });
}

describe('ConfChanger', () => {
  it.each([
    ['l1', 'removed all voters'],
    ['', 'removed all voters'],
    ['v1 v2', 'more than one voter changed without entering joint config'],
  ])('an empty configuration rejects the simple change %j', (text, reason) => {
    const empty = { config: emptyConfState, progress: new Map() };
    expect(() => changer(empty).simple(changes(text))).toThrow(new InvalidConfChangeError(reason));
  });

  it('counts a replaced voter as two changes', () => {
    expect(() => changer(restored({ voters: [1, 2] })).simple(changes('r2 v3'))).toThrow(
      'more than one voter changed without entering joint config',
    );
  });

  it('rejects changes that do not suit a joint or a non-joint configuration', () => {
    const joint = restored({ voters: [1], votersOutgoing: [1, 2] });
    expect(() => changer(joint).simple(changes('l3'))).toThrow("can't apply simple config change in joint config");
    expect(() => changer(joint).enterJoint(false, [])).toThrow('config is already joint');
    expect(() => changer(restored({ voters: [1] })).leaveJoint()).toThrow("can't leave a non-joint config");
    expect(() => changer(restored({})).enterJoint(false, [])).toThrow("can't make a zero-voter config joint");
    expect(() => changer(restored({ voters: [1] })).enterJoint(false, changes('r1'))).toThrow('removed all voters');
  });

  it('leaves its input unchanged, on success and on failure', () => {
    const before = restored({ voters: [1, 2], learners: [3] });
    const text = describeConfig(before.config) + describeProgressMap(before.progress);
    changer(before).simple(changes('l2'));
    changer(before).enterJoint(true, changes('v3 l2'));
    expect(() => changer(before).simple(changes('l1 l2'))).toThrow(InvalidConfChangeError);
    expect(describeConfig(before.config) + describeProgressMap(before.progress)).toBe(text);
  });

  it('keeps the progress of a member whose role changes, and of an outgoing voter until it is removed', () => {
    const before = restored({ voters: [1, 2] });
    before.progress.get(2)?.maybeUpdate(7);
    const joint = changer(before, 50).enterJoint(false, changes('r2 v3'));
    expect(describeProgressMap(joint.progress)).toBe(
      '1: StateProbe match=0 next=10\n2: StateProbe match=7 next=10\n3: StateProbe match=0 next=50\n',
    );
    expect([...changer(joint).leaveJoint().progress.keys()].sort()).toEqual([1, 3]);
    const demoted = changer(changer(before, 50).enterJoint(false, changes('l2'))).leaveJoint();
    expect(demoted.progress.get(2)).toMatchObject({ match: 7, isLearner: true });
  });

  it('rejects an initial configuration that breaks the invariants', () => {
    const sound = restored({ voters: [1], learners: [2] });
    const broken: [Partial<ConfState>, string][] = [
      [{ voters: [1, 9] }, 'no progress for 9'],
      [{ learnersNext: [2] }, '2 is in LearnersNext, but not Voters[1]'],
      [{ voters: [1, 2] }, '2 is in Learners and Voters[0]'],
      [{ votersOutgoing: [2] }, '2 is in Learners and Voters[1]'],
      [{ learners: [1], voters: [2] }, '1 is in Learners, but is not marked as learner'],
      [{ autoLeave: true }, 'AutoLeave must be false when not joint'],
    ];
    for (const [change, reason] of broken) {
      const membership = { config: { ...sound.config, ...change }, progress: sound.progress };
      expect(() => changer(membership).simple([])).toThrow(new InvalidConfChangeError(reason));
    }
  });
});

const nodeId = fc.integer({ min: 1, max: 8 });
const change = fc.record({
  type: fc.constantFrom<ConfChangeType>('add-node', 'add-learner-node', 'remove-node', 'update-node'),
  nodeId,
});

/** Any valid state of a cluster: disjoint roles, and `learnersNext` among the outgoing voters. */
const anyState: fc.Arbitrary<ConfState> = fc
  .record({
    roles: fc.array(fc.constantFrom('none', 'voter', 'learner'), { minLength: 8, maxLength: 8 }),
    outgoing: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
    joint: fc.boolean(),
    autoLeave: fc.boolean(),
    voter: fc.integer({ min: 0, max: 7 }),
  })
  .map(({ roles, outgoing, joint, autoLeave, voter }) => {
    const roleOf = (i: number) => (i === voter ? 'voter' : roles[i]);
    const members = (test: (i: number) => boolean) => [0, 1, 2, 3, 4, 5, 6, 7].filter(test).map((i) => i + 1);
    const isOutgoing = (i: number) => joint && outgoing[i] === true;
    const votersOutgoing = members(isOutgoing);
    return {
      voters: members((i) => roleOf(i) === 'voter'),
      votersOutgoing,
      learners: members((i) => roleOf(i) === 'learner' && !isOutgoing(i)),
      learnersNext: members((i) => roleOf(i) === 'learner' && isOutgoing(i)),
      autoLeave: votersOutgoing.length > 0 && autoLeave,
    };
  });

describe('membership changes', () => {
  it(`restores every state (seed ${seed})`, () => {
    fc.assert(
      fc.property(anyState, (state) => {
        expect(restored(state).config).toEqual(state);
      }),
      { seed, numRuns: 500 },
    );
  });

  it(`reaches the same configuration by one joint change as by simple ones (seed ${seed})`, () => {
    fc.assert(
      fc.property(anyState, fc.array(change, { maxLength: 6 }), (state, list) => {
        const start = restored({ voters: state.voters, learners: [...state.learners, ...state.learnersNext] });
        const joint = attempt(() => changer(changer(start).enterJoint(false, list)).leaveJoint());
        let simple: Membership | undefined = start;
        for (const each of list) {
          const from: Membership | undefined = simple;
          simple = from && attempt(() => changer(from).simple([each]));
        }
        // Single changes may pass through a configuration without voters where one joint change does not.
        if (simple === undefined) return;
        expect(joint?.config).toEqual(simple.config);
        expect([...(joint?.progress.keys() ?? [])].sort()).toEqual([...simple.progress.keys()].sort());
      }),
      { seed, numRuns: 500 },
    );
  });

  it(`keeps old and new majorities overlapping in simple changes (seed ${seed})`, () => {
    fc.assert(
      fc.property(anyState, fc.array(change, { maxLength: 4 }), (state, list) => {
        const start = restored({ voters: state.voters });
        const after = attempt(() => changer(start).simple(list));
        if (after === undefined) return;
        const all = new Set([...start.config.voters, ...after.config.voters]).size;
        const majority = (ids: readonly number[]) => Math.floor(ids.length / 2) + 1;
        expect(majority(start.config.voters) + majority(after.config.voters)).toBeGreaterThan(all);
      }),
      { seed, numRuns: 500 },
    );
  });
});

function attempt(make: () => Membership): Membership | undefined {
  try {
    return make();
  } catch (error) {
    if (error instanceof InvalidConfChangeError) return undefined;
    throw error;
  }
}
