import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Inflights } from './inflights.js';

const seed = 20_261_124;

describe('Inflights', () => {
  it('is full at its maximum number of messages', () => {
    const inflights = new Inflights(2, 0);
    inflights.add(5, 1000);
    expect(inflights.full).toBe(false);
    inflights.add(6, 1000);
    expect(inflights.full).toBe(true);
    expect(() => inflights.add(7, 0)).toThrow('full');
  });

  it('is full once its bytes are reached, and accepts the message that reaches them', () => {
    const inflights = new Inflights(10, 100);
    inflights.add(1, 99);
    expect(inflights.full).toBe(false);
    inflights.add(2, 500);
    expect(inflights.full).toBe(true);
    inflights.freeUpTo(1);
    expect(inflights.full).toBe(true);
    inflights.freeUpTo(2);
    expect(inflights.full).toBe(false);
  });

  it('frees nothing for an acknowledgement below the window', () => {
    const inflights = new Inflights(3, 0);
    inflights.add(5, 1);
    inflights.freeUpTo(4);
    expect(inflights.count).toBe(1);
  });

  it('clears its bytes on a reset', () => {
    const inflights = new Inflights(3, 10);
    inflights.add(5, 10);
    inflights.reset();
    expect([inflights.count, inflights.payloadBytes, inflights.full]).toEqual([0, 0, false]);
  });

  it('copies independently', () => {
    const inflights = new Inflights(3, 0);
    inflights.add(5, 7);
    const copy = inflights.clone();
    copy.freeUpTo(5);
    expect([inflights.count, inflights.payloadBytes]).toEqual([1, 7]);
    expect([copy.count, copy.payloadBytes]).toEqual([0, 0]);
  });

  it(`counts like a list (seed ${seed})`, () => {
    const step = fc.oneof(
      fc.record({ add: fc.integer({ min: 1, max: 3 }), bytes: fc.nat(50) }),
      fc.record({ free: fc.nat(6) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), fc.integer({ min: 1, max: 150 }), (steps, messagesMax) => {
        const inflights = new Inflights(messagesMax, 1000);
        let model: { index: number; bytes: number }[] = [];
        let last = 0;
        for (const each of steps) {
          if ('free' in each) {
            const index = (model[0]?.index ?? 0) + each.free - 1;
            inflights.freeUpTo(index);
            model = model.filter((message) => message.index > index);
          } else if (!inflights.full) {
            last += each.add;
            inflights.add(last, each.bytes);
            model.push({ index: last, bytes: each.bytes });
          }
          const bytes = model.reduce((sum, message) => sum + message.bytes, 0);
          expect(inflights.count).toBe(model.length);
          expect(inflights.payloadBytes).toBe(bytes);
          expect(inflights.full).toBe(model.length >= messagesMax || bytes >= 1000);
        }
      }),
      { seed, numRuns: 100 },
    );
  });
});
