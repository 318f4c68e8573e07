import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { VoteResult } from './quorum.js';
import {
  committedIndex,
  majorityCommittedIndex,
  majoritySize,
  majorityVoteResult,
  unboundedIndex,
  voteResult,
} from './quorum.js';

const seed = 20_261_123;
const id = fc.integer({ min: 1, max: 9 });
const ids = fc.uniqueArray(id, { maxLength: 7 });
const acked = fc.dictionary(id.map(String), fc.integer({ min: 0, max: 12 })).map(toMap);
const votes = fc.dictionary(id.map(String), fc.boolean()).map(toMap);

function toMap<Value>(record: Record<string, Value>): Map<number, Value> {
  return new Map(Object.entries(record).map(([key, value]) => [Number(key), value]));
}

/** The committed index by definition: the greatest index that more than half of the members have reached. */
function committedByCounting(members: readonly number[], indexes: ReadonlyMap<number, number>): number {
  if (members.length === 0) return unboundedIndex;
  for (let index = 12; index > 0; index -= 1) {
    const reached = members.filter((member) => (indexes.get(member) ?? 0) >= index).length;
    if (reached * 2 > members.length) return index;
  }
  return 0;
}

/** The outcome by definition: the result that all completions of the missing votes have in common. */
function voteByCompletion(halves: readonly (readonly number[])[], cast: ReadonlyMap<number, boolean>): VoteResult {
  const open = [...new Set(halves.flat())].filter((member) => !cast.has(member));
  const outcomes = new Set<boolean>();
  for (let choice = 0; choice < 2 ** open.length; choice += 1) {
    const granted = (member: number) => cast.get(member) ?? Math.floor(choice / 2 ** open.indexOf(member)) % 2 === 1;
    outcomes.add(halves.every((half) => half.length === 0 || half.filter(granted).length * 2 > half.length));
  }
  if (outcomes.size === 2) return 'pending';
  return outcomes.has(true) ? 'won' : 'lost';
}

describe('majority', () => {
  it('needs more than half', () => {
    expect([1, 2, 3, 4, 5].map(majoritySize)).toEqual([1, 2, 2, 3, 3]);
  });

  it('commits everything and wins every vote without members', () => {
    expect(majorityCommittedIndex([], () => undefined)).toBe(unboundedIndex);
    expect(majorityVoteResult([], new Map())).toBe('won');
  });

  it(`commits according to the definition (seed ${seed})`, () => {
    fc.assert(
      fc.property(ids, acked, (members, indexes) => {
        expect(majorityCommittedIndex(members, (member) => indexes.get(member))).toBe(
          committedByCounting(members, indexes),
        );
      }),
      { seed, numRuns: 1000 },
    );
  });

  it(`is decided as soon as no missing vote can change it (seed ${seed})`, () => {
    fc.assert(
      fc.property(ids, votes, (members, cast) => {
        expect(majorityVoteResult(members, cast)).toBe(voteByCompletion([members], cast));
      }),
      { seed, numRuns: 500 },
    );
  });
});

describe('joint quorum', () => {
  it(`commits entries that both majorities have (seed ${seed})`, () => {
    fc.assert(
      fc.property(ids, ids, acked, (voters, votersOutgoing, indexes) => {
        const both = Math.min(committedByCounting(voters, indexes), committedByCounting(votersOutgoing, indexes));
        expect(committedIndex({ voters, votersOutgoing }, (member) => indexes.get(member))).toBe(both);
      }),
      { seed, numRuns: 1000 },
    );
  });

  it(`agrees with the simple majority when its halves are equal, or one is empty (seed ${seed})`, () => {
    fc.assert(
      fc.property(ids, acked, votes, (voters, indexes, cast) => {
        const read = (member: number) => indexes.get(member);
        for (const votersOutgoing of [voters, []]) {
          expect(committedIndex({ voters, votersOutgoing }, read)).toBe(majorityCommittedIndex(voters, read));
        }
        expect(voteResult({ voters, votersOutgoing: voters }, cast)).toBe(majorityVoteResult(voters, cast));
      }),
      { seed, numRuns: 500 },
    );
  });

  it(`is won and lost only according to the definition (seed ${seed})`, () => {
    fc.assert(
      fc.property(ids, ids, votes, (voters, votersOutgoing, cast) => {
        const result = voteResult({ voters, votersOutgoing }, cast);
        const parts = [majorityVoteResult(voters, cast), majorityVoteResult(votersOutgoing, cast)];
        const expected = parts.includes('lost') ? 'lost' : parts.includes('pending') ? 'pending' : 'won';
        expect(result).toBe(expected);
        // A decided outcome is final; halves that share voters may be decided earlier than `voteResult` reports.
        if (result !== 'pending') expect(voteByCompletion([voters, votersOutgoing], cast)).toBe(result);
      }),
      { seed, numRuns: 300 },
    );
  });
});
