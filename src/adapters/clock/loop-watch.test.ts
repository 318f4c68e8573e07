import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { type LoopDelays, LoopWatch, reportLoopDelays } from './loop-watch.js';

const heldMs = 150;
const ends: (() => void)[] = [];

afterEach(() => {
  for (const end of ends.splice(0)) end();
});

function holdLoop(): void {
  for (const until = performance.now() + heldMs; performance.now() < until;);
}

describe('a watch of the event loop', () => {
  it('tells how long a handler held it, once', async () => {
    const watch = new LoopWatch();
    ends.push(() => {
      watch.close();
    });
    await delay(50);
    holdLoop();
    await delay(50);
    const { longestMs, p999Ms } = watch.take();
    expect(longestMs).toBeGreaterThan(heldMs / 2);
    expect(p999Ms).toBeGreaterThan(heldMs / 2);
    expect(watch.take()).toEqual({ longestMs: 0, p999Ms: 0 });
  });

  it('reports a period with delays above the limit', async () => {
    const reported = new Promise<LoopDelays>((resolve) => {
      ends.push(reportLoopDelays({ periodMs: 300, p999MsMax: heldMs / 2 }, resolve));
    });
    await delay(50);
    holdLoop();
    expect((await reported).longestMs).toBeGreaterThan(heldMs / 2);
  });
});
