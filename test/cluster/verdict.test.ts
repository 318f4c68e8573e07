import { describe, expect, it } from '@jest/globals';
import { faultsOf } from './verdict.js';

const log = ['a', 'b', 'c', 'd'];
const load = {
  acknowledged: [
    [
      { value: 'a', offset: 0 },
      { value: 'c', offset: 2 },
    ],
    [{ value: 'b', offset: 1 }],
  ],
  refused: ['r'],
  unknown: ['d', 'u'],
};

describe('the verdict on a log', () => {
  it('is good where each record is accounted for', () => {
    expect(faultsOf(log, load)).toEqual([]);
  });

  it.each<[string, readonly string[], string]>([
    ['lost', ['a', 'b'], '"c" was acknowledged at 2 and is at no offset'],
    ['twice', ['a', 'b', 'c', 'd', 'a'], '"a" is at 0 and again at 4'],
    ['elsewhere', ['b', 'a', 'c', 'd'], '"a" was acknowledged at 0 and is at 1'],
    ['there though it was refused', ['a', 'b', 'c', 'r'], '"r" was refused and is there'],
    ['of unknown origin', ['a', 'b', 'c', 'd', 'x'], '1 records are nobody’s'],
  ])('tells a record that is %s', (_, values, fault) => {
    expect(faultsOf(values, load)).toContain(fault);
  });

  it('passes over what was acknowledged before the start of the log, unless it is there', () => {
    expect(faultsOf(['c', 'd'], load, 2)).toEqual([]);
    expect(faultsOf(['c', 'a'], load, 2)).toContain('"a" was acknowledged at 0 and is at 3');
    expect(faultsOf(['d'], load, 2)).toContain('"c" was acknowledged at 2 and is at no offset');
  });

  it('tells a producer whose offsets do not increase', () => {
    const [first, second] = load.acknowledged;
    expect(faultsOf(log, { ...load, acknowledged: [[...first].reverse(), second] })).toEqual([
      '"a" has offset 0, after 2',
    ]);
  });
});
