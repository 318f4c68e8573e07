import { beforeEach, describe, expect, it } from '@jest/globals';
import { FrameQueue } from './frame-queue.js';

const kib = 1024;
let queue: FrameQueue<number>;
let frames: number[][];
let sent: (() => void)[];
const open = (): void => {
  queue.open((items, done) => {
    frames.push(items);
    sent.push(done);
  });
};
const push = (item: number, bytes: number): boolean => {
  const accepted = queue.push(item, bytes);
  queue.flush();
  return accepted;
};

beforeEach(() => {
  queue = new FrameQueue(2048 * kib);
  frames = [];
  sent = [];
});

describe('a frame queue', () => {
  it('sends at once while fewer than two frames are unsent, then batches items', () => {
    open();
    for (let item = 1; item <= 5; item++) push(item, 10);
    expect(frames).toEqual([[1], [2]]);
    sent[0]();
    expect(frames).toEqual([[1], [2], [3, 4, 5]]);
  });

  it('batches items into frames of up to 1 MiB and sends a larger item alone', () => {
    for (const [item, size] of [600, 400, 100, 700].entries()) push(item, size * kib);
    open();
    expect(frames).toEqual([
      [0, 1],
      [2, 3],
    ]);
    const large = new FrameQueue<number>(Infinity);
    large.push(1, 5000 * kib);
    large.push(2, 1);
    large.open((items) => frames.push(items));
    expect(frames.slice(2)).toEqual([[1], [2]]);
  });

  it('counts waiting and unsent bytes, and rejects an item over the limit', () => {
    open();
    expect([push(1, 1000 * kib), push(2, 1000 * kib), push(3, 48 * kib), push(4, 1)]).toEqual([
      true,
      true,
      true,
      false,
    ]);
    expect(queue.bytes).toBe(2048 * kib);
    sent[0]();
    expect(queue.bytes).toBe(1048 * kib);
    expect(push(5, 1)).toBe(true);
  });

  it('accepts an item of any size when it is empty', () => {
    expect(queue.push(1, 9000 * kib)).toBe(true);
    expect(queue.push(2, 1)).toBe(false);
  });

  it('drops everything on shut and ignores a late sent callback', () => {
    open();
    push(1, 10);
    queue.push(2, 20);
    queue.shut();
    expect(queue.bytes).toBe(0);
    const [late] = sent;
    open();
    expect(frames).toEqual([[1]]);
    push(3, 30);
    late();
    expect(queue.bytes).toBe(30);
  });

  it('keeps waiting items while it is held, and counts only those', () => {
    open();
    for (let item = 1; item <= 4; item++) push(item, 10);
    queue.hold();
    sent[0]();
    push(5, 10);
    expect([frames, queue.bytes]).toEqual([[[1], [2]], 30]);
    open();
    expect(frames.slice(2)).toEqual([[3, 4, 5]]);
  });
});
