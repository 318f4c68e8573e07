import { describe, expect, it } from '@jest/globals';
import { toOffset } from '../../domain/log/offsets.js';
import { UnavailableError } from '../errors.js';
import { ReadBarriers } from './read-barriers.js';

const ticksMax = 20;

/** Returns a barrier that the leader has confirmed at index 10, on a node that has applied 5. */
function confirmed(): { barriers: ReadBarriers; barrier: Promise<number>; tick: (times: number) => void } {
  const asked: Uint8Array[] = [];
  const barriers = new ReadBarriers({ readIndex: (context) => asked.push(context) }, ticksMax, 1, 7);
  barriers.release(5, toOffset(50));
  const barrier = barriers.wait(new AbortController().signal);
  barriers.flush();
  const [requestContext] = asked;
  if (requestContext === undefined) throw new Error('the core was not asked');
  barriers.confirm({ index: 10, requestContext });
  const tick = (times: number): void => {
    for (let time = 0; time < times; time++) barriers.tick();
  };
  return { barriers, barrier, tick };
}

describe('a read barrier that the leader confirmed', () => {
  it('waits for this node while it makes progress', async () => {
    const { barriers, barrier, tick } = confirmed();
    for (let applied = 6; applied <= 10; applied++) {
      tick(ticksMax - 1);
      barriers.release(applied, toOffset(10 * applied));
    }
    await expect(barrier).resolves.toBe(100);
  });

  // As on a follower whose disk is full: another node can serve the read.
  it('is rejected as retryable when this node makes no progress', async () => {
    const { barriers, barrier, tick } = confirmed();
    barriers.release(9, toOffset(90));
    tick(ticksMax);
    await expect(barrier).rejects.toThrow(UnavailableError);
    await expect(barrier).rejects.toThrow('lags behind the leader');
  });
});
