import { describe, expect, it } from '@jest/globals';
import { toOffset } from '../../domain/log/offsets.js';
import { Watermark } from './watermark.js';

const never = new AbortController().signal;

describe('Watermark', () => {
  it('wakes those it passed and no others', async () => {
    const watermark = new Watermark(toOffset(5));
    const woken: number[] = [];
    const waits = [4, 5, 6].map((offset) =>
      watermark.waitBeyond(toOffset(offset), never).then(() => woken.push(offset)),
    );
    await waits[0];
    expect(woken).toEqual([4]);
    watermark.advance(toOffset(6));
    await waits[1];
    expect(woken).toEqual([4, 5]);
    watermark.advance(toOffset(100));
    await waits[2];
    expect(woken).toEqual([4, 5, 6]);
  });

  it('never goes back', () => {
    const watermark = new Watermark(toOffset(5));
    expect(() => watermark.advance(toOffset(4))).toThrow(RangeError);
    expect(watermark.value).toBe(5);
  });

  it('lets a waiter go at once when its signal aborts, before or while it waits, with the reason', async () => {
    const watermark = new Watermark(toOffset(0));
    const gone = new Error('gone');
    await expect(watermark.waitBeyond(toOffset(0), AbortSignal.abort(gone))).rejects.toBe(gone);
    const controller = new AbortController();
    const waiting = watermark.waitBeyond(toOffset(0), controller.signal);
    controller.abort(gone);
    await expect(waiting).rejects.toBe(gone);
    watermark.advance(toOffset(1));
  });
});
