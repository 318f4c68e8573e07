import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../adapters/memory/manual-clock.js';
import { Patience } from './patience.js';

const never = (): Promise<void> => new Promise(() => undefined);

describe('Patience', () => {
  it('waits for steps that end in time, as long as they take together', async () => {
    const clock = new ManualClock();
    const patience = new Patience(clock, 5_000);
    const ended: number[] = [];
    for (const step of [1, 2, 3]) {
      let end = (): void => undefined;
      const done = patience.within(() => new Promise<void>((resolve) => (end = resolve)).then(() => ended.push(step)));
      clock.advance(4_000);
      end();
      await done;
    }
    expect([ended, patience.isOver]).toEqual([[1, 2, 3], false]);
  });

  it('goes on when a step takes too long, and runs none of the later ones', async () => {
    const clock = new ManualClock();
    const patience = new Patience(clock, 5_000);
    const hung = patience.within(never);
    clock.advance(5_000);
    await hung;
    let ran = false;
    await patience.within(() => (ran = true));
    expect([ran, patience.isOver]).toEqual([false, true]);
  });

  it('rejects as a step does, and a later failure of one that took too long troubles nobody', async () => {
    const clock = new ManualClock();
    const patience = new Patience(clock, 5_000);
    await expect(patience.within(() => Promise.reject(new Error('EIO')))).rejects.toThrow('EIO');
    let fail: (error: Error) => void = () => undefined;
    const hung = patience.within(() => new Promise((_, reject) => (fail = reject)));
    clock.advance(5_000);
    await hung;
    fail(new Error('EIO'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(patience.isOver).toBe(true);
  });
});
