import { describe, expect, it } from '@jest/globals';
import { BroadcastQueue } from './broadcast-queue.js';

/** Builds a message of `length` bytes, identified by its first byte. */
function message(mark: number, length = 10): Uint8Array {
  return new Uint8Array(length).fill(mark);
}

function marks(messages: readonly Uint8Array[]): number[] {
  return messages.map((each) => each[0] ?? NaN);
}

describe('the broadcast queue', () => {
  it('returns the least sent first, then the longest that fits, then the newest', () => {
    const queue = new BroadcastQueue(100);
    queue.queue(message(1));
    queue.queue(message(2));
    expect(marks(queue.take(2, 12, 4))).toEqual([2]);
    queue.queue(message(3, 5));
    queue.queue(message(4, 30));
    // The 30 bytes do not fit; 1 and 3 were never sent, 2 was.
    expect(marks(queue.take(2, 31, 4))).toEqual([1, 3, 2]);
    expect(marks(queue.take(2, 60, 4))).toEqual([4, 1, 3]);
  });

  it('never exceeds the limit, including overhead', () => {
    const queue = new BroadcastQueue(100);
    for (let mark = 0; mark < 30; mark += 1) queue.queue(message(mark, 5 + mark));
    const taken = queue.take(3, 100, 4);
    const bytes = taken.reduce((sum, { length }) => sum + length + 3, 0);
    expect(bytes).toBeLessThanOrEqual(100);
    expect(bytes).toBeGreaterThan(90);
  });

  it('removes a message once it was sent often enough, and reports it', () => {
    const queue = new BroadcastQueue(100);
    const finished: number[] = [];
    queue.queue(message(1), undefined, () => finished.push(1));
    const lengths = [1, 2, 3].map(() => {
      queue.take(2, 100, 3);
      return queue.length;
    });
    expect({ lengths, finished }).toEqual({ lengths: [1, 1, 0], finished: [1] });
  });

  it('sends a message at most once in one packet', () => {
    const queue = new BroadcastQueue(100);
    queue.queue(message(1));
    expect(marks(queue.take(2, 1000, 10))).toEqual([1]);
  });

  it('replaces a message about the same member, however often it was sent', () => {
    const queue = new BroadcastQueue(100);
    const finished: string[] = [];
    queue.queue(message(1), 'a', () => finished.push('1'));
    queue.take(2, 100, 4);
    queue.queue(message(2), 'b');
    queue.queue(message(3), 'a');
    expect(marks(queue.take(2, 100, 4))).toEqual([3, 2]);
    expect({ finished, length: queue.length }).toEqual({ finished: ['1'], length: 2 });
  });

  it('drops the most often sent message when it is full', () => {
    const queue = new BroadcastQueue(3);
    const finished: number[] = [];
    queue.queue(message(1), undefined, () => finished.push(1));
    queue.take(2, 100, 4);
    for (const mark of [2, 3, 4]) queue.queue(message(mark));
    expect(finished).toEqual([1]);
    expect(marks(queue.take(2, 100, 4))).toEqual([4, 3, 2]);
  });
});
