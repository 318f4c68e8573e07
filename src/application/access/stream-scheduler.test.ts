import { describe, expect, it } from '@jest/globals';
import { CallQuota } from './call-quota.js';
import { StreamScheduler, streamSchedulerOptions } from './stream-scheduler.js';

interface SchedulerOptions {
  readonly waitingPerAddressMax?: number;
  readonly newestFirst?: boolean;
  readonly costMs?: (stream: string) => number;
}

/** A scheduler whose turns the test runs. Serving a stream takes a millisecond, unless `costMs` says otherwise. */
function schedulerOf(
  turnMs: number,
  { waitingPerAddressMax = 1_000, newestFirst = false, costMs = () => 1 }: SchedulerOptions = {},
) {
  const served: string[] = [];
  const callbacks: (() => void)[] = [];
  let nowMs = 0;
  const scheduler = new StreamScheduler<string>(
    { turnMs, waitingPerAddressMax, newestFirst },
    (stream) => {
      served.push(stream);
      nowMs += costMs(stream);
    },
    (callback) => callbacks.push(callback),
    () => nowMs,
  );
  const turn = (): string[] => {
    served.length = 0;
    for (const callback of callbacks.splice(0)) callback();
    return [...served];
  };
  return { scheduler, served, turn, callbacks };
}

describe('a stream scheduler', () => {
  it('serves at once the streams of one turn, and the others turn by turn', () => {
    const { scheduler, served, turn, callbacks } = schedulerOf(2);
    for (const stream of ['1', '2', '3', '4', '5']) expect(scheduler.enter(stream, 'a')).toBe(true);
    expect(served).toEqual(['1', '2']);
    expect(turn()).toEqual(['3', '4']);
    scheduler.enter('6', 'a');
    expect(turn()).toEqual(['5', '6']);
    expect(turn()).toEqual([]);
    expect(callbacks).toEqual([]);
    scheduler.enter('7', 'a');
    expect(served).toEqual(['7']);
  });

  it('serves the addresses in turn, so that a client with few streams waits for few', () => {
    const { scheduler, turn } = schedulerOf(2);
    for (let count = 0; count < 500; count += 1) scheduler.enter(`hostile ${count}`, 'a');
    scheduler.enter('honest 0', 'b');
    scheduler.enter('honest 1', 'b');
    expect(turn()).toEqual(['hostile 2', 'honest 0']);
    expect(turn()).toEqual(['hostile 3', 'honest 1']);
    expect(turn()).toEqual(['hostile 4', 'hostile 5']);
  });

  it('serves the newest stream of each address first, if it is told to', () => {
    const { scheduler, served, turn } = schedulerOf(2, { newestFirst: true });
    for (const stream of ['a1', 'a2', 'a3', 'a4', 'b1', 'b2']) scheduler.enter(stream, stream.charAt(0));
    expect(served).toEqual(['a1', 'a2']);
    expect([turn(), turn(), turn()]).toEqual([['a4', 'b2'], ['a3', 'b1'], []]);
  });

  it('serves few streams in a turn that take long, one at least, and many that take little', () => {
    const { scheduler, served, turn } = schedulerOf(3, { costMs: (stream) => (stream.startsWith('long') ? 20 : 0.01) });
    for (let count = 0; count < 200; count += 1) scheduler.enter(`short ${count}`, 'a');
    expect(served).toHaveLength(200);
    for (const stream of ['long 1', 'long 2', 'short']) scheduler.enter(stream, 'a');
    expect([served.at(-1), turn(), turn(), turn()]).toEqual(['long 1', ['long 2'], ['short'], []]);
  });

  it('counts what a stream leads to after it is served, where streams always wait', () => {
    const served: string[] = [];
    const callbacks: (() => void)[] = [];
    let nowMs = 0;
    const scheduler = new StreamScheduler<string>(
      { turnMs: 3, alwaysWait: true, waitingPerAddressMax: 1_000 },
      (stream) => served.push(stream),
      (callback) => callbacks.push(callback),
      () => nowMs,
    );
    /** As the event loop does: what a callback led to is done before the next, and takes 2 ms if it served a stream. */
    const turn = (): number => {
      const before = served.length;
      for (const callback of callbacks.splice(0)) {
        const servedBefore = served.length;
        callback();
        nowMs += 2 * (served.length - servedBefore);
      }
      return served.length - before;
    };
    for (let count = 0; count < 7; count += 1) scheduler.enter(`${count}`, 'a');
    expect(served).toEqual([]);
    expect([turn(), turn(), turn(), turn(), turn()]).toEqual([2, 2, 2, 1, 0]);
    expect(callbacks).toEqual([]);
  });

  it('rejects streams of an address that has too many waiting', () => {
    const { scheduler, turn } = schedulerOf(1, { waitingPerAddressMax: 2 });
    expect(['1', '2', '3', '4'].map((stream) => scheduler.enter(stream, 'a'))).toEqual([true, true, true, false]);
    expect(scheduler.enter('5', 'b')).toBe(true);
    expect([turn(), turn(), turn(), turn()]).toEqual([['2'], ['5'], ['3'], []]);
    expect(scheduler.enter('6', 'a')).toBe(true);
  });

  it('lets as many streams wait as a client may have calls in flight, and at least what two sessions may open', () => {
    const waitingMax = (callsPerClientMax: number): number =>
      streamSchedulerOptions(1_100, new CallQuota({ callsMax: 100_000, callsReserved: 0, callsPerClientMax }))
        .waitingPerAddressMax;
    expect([7, 5_000].map(waitingMax)).toEqual([2_200, 5_000]);
  });
});
