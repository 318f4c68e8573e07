import { describe, expect, it } from '@jest/globals';
import { toOffset } from '../../domain/log/offsets.js';
import { Watermark } from './watermark.js';

const never = new AbortController().signal;

describe('Watermark', () => {
  it('wakes the waiters that it passed, and no others', async () => {
    const watermark = new Watermark(toOffset(5));
    const woken: number[] = [];
    const waits = [4, 5, 6].map((offset) => watermark.waitPast(toOffset(offset), never).then(() => woken.push(offset)));
    await waits[0];
    expect(woken).toEqual([4]);
    watermark.advance(toOffset(6));
    await waits[1];
    expect(woken).toEqual([4, 5]);
    watermark.advance(toOffset(100));
    await waits[2];
    expect(woken).toEqual([4, 5, 6]);
  });

  it('never decreases', () => {
    const watermark = new Watermark(toOffset(5));
    expect(() => watermark.advance(toOffset(4))).toThrow(RangeError);
    expect(watermark.value).toBe(5);
  });

  it('rejects at once when the signal aborts, before or during the wait, with its reason', async () => {
    const watermark = new Watermark(toOffset(0));
    const gone = new Error('gone');
    await expect(watermark.waitPast(toOffset(0), AbortSignal.abort(gone))).rejects.toBe(gone);
    const controller = new AbortController();
    const waiting = watermark.waitPast(toOffset(0), controller.signal);
    controller.abort(gone);
    await expect(waiting).rejects.toBe(gone);
    watermark.advance(toOffset(1));
  });
});
