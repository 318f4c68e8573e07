import { describe, expect, it } from '@jest/globals';
import { closingOnFailure, inOrder } from './in-order.js';

describe('steps in order', () => {
  it('continue after a failed step, and reject with the first failure', async () => {
    const done: string[] = [];
    const step = (name: string, error?: Error) => async (): Promise<void> => {
      await Promise.resolve();
      done.push(name);
      if (error) throw error;
    };
    const all = inOrder(step('a'), step('b', new Error('first')), step('c', new Error('second')), step('d'));
    await expect(all).rejects.toThrow('first');
    expect(done).toEqual(['a', 'b', 'c', 'd']);
  });
});

describe('a start that fails', () => {
  it('closes what it has opened in reverse order, and rejects with its own failure', async () => {
    const closed: string[] = [];
    const failing = closingOnFailure<never>(async (opened) => {
      opened.push({ close: () => void closed.push('first') });
      opened.push({ close: () => Promise.reject(new Error('cannot close')) });
      opened.push({ close: async () => void closed.push('last') });
      throw new Error('cannot start');
    });
    await expect(failing).rejects.toThrow('cannot start');
    expect(closed).toEqual(['last', 'first']);
  });

  it('closes nothing when it succeeds', async () => {
    const closed: string[] = [];
    const started = await closingOnFailure(async (opened) => {
      opened.push({ close: () => void closed.push('file') });
      return 'started';
    });
    expect({ started, closed }).toEqual({ started: 'started', closed: [] });
  });
});
