import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../adapters/memory/manual-clock.js';
import { Succession, type Successor } from './succession.js';

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

function succession(others: readonly Successor[]) {
  const asked: number[] = [];
  const clock = new ManualClock();
  const transferTo = (id: number): Promise<void> => {
    asked.push(id);
    return Promise.reject(new Error('it did not come about'));
  };
  return { asked, clock, subject: new Succession({ id: 2, others: () => others, transferTo, clock, logger: silent }) };
}

describe('Succession', () => {
  it.each([
    ['nobody, when nobody else is heard from', [], undefined],
    [
      'whoever has most of the log',
      [
        { id: 1, match: 9 },
        { id: 3, match: 8 },
      ],
      1,
    ],
    [
      'the next by id, of several',
      [
        { id: 1, match: 9 },
        { id: 3, match: 9 },
        { id: 4, match: 9 },
      ],
      3,
    ],
    [
      'the first by id, after the last',
      [
        { id: 0, match: 9 },
        { id: 1, match: 9 },
      ],
      0,
    ],
  ])('passes to %s', (_, others, heir) => {
    expect(succession(others).subject.heir()).toBe(heir);
  });

  it('steps aside once, and again only half a minute later', async () => {
    const { asked, clock, subject } = succession([{ id: 3, match: 1 }]);
    expect([subject.stepAside(), subject.stepAside()]).toEqual([true, true]);
    await subject.handOver();
    expect(subject.stepAside()).toBe(false);
    clock.advance(30_000);
    expect(subject.stepAside()).toBe(true);
    expect(asked).toEqual([3, 3, 3]);
  });

  it('does not step aside where nobody can take over', () => {
    expect(succession([]).subject.stepAside()).toBe(false);
  });
});
