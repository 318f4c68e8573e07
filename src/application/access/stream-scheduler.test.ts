import { describe, expect, it } from '@jest/globals';
import { CallQuota } from './call-quota.js';
import { StreamScheduler, streamSchedulerOptions } from './stream-scheduler.js';

/** A gate whose turns are those of the test. */
function gateOf(ofTurnMax: number, waitingOfAddressMax = 1_000) {
  const served: string[] = [];
  const callbacks: (() => void)[] = [];
  const gate = new StreamScheduler<string>(
    { ofTurnMax, waitingOfAddressMax },
    (stream) => served.push(stream),
    (callback) => callbacks.push(callback),
  );
  const turn = (): string[] => {
    served.length = 0;
    for (const callback of callbacks.splice(0)) callback();
    return [...served];
  };
  return { gate, served, turn, callbacks };
}

describe('a gate of streams', () => {
  it('serves at once what one turn has time for, and the others turn by turn', () => {
    const { gate, served, turn, callbacks } = gateOf(2);
    for (const stream of ['1', '2', '3', '4', '5']) expect(gate.enter(stream, 'a')).toBe(true);
    expect(served).toEqual(['1', '2']);
    expect(turn()).toEqual(['3', '4']);
    gate.enter('6', 'a');
    expect(turn()).toEqual(['5', '6']);
    expect(turn()).toEqual([]);
    expect(callbacks).toEqual([]);
    gate.enter('7', 'a');
    expect(served).toEqual(['7']);
  });

  it('serves the addresses in turn, so that who begins few waits for few', () => {
    const { gate, turn } = gateOf(2);
    for (let count = 0; count < 500; count += 1) gate.enter(`hostile ${count}`, 'a');
    gate.enter('honest 0', 'b');
    gate.enter('honest 1', 'b');
    expect(turn()).toEqual(['hostile 2', 'honest 0']);
    expect(turn()).toEqual(['hostile 3', 'honest 1']);
    expect(turn()).toEqual(['hostile 4', 'hostile 5']);
  });

  it('takes no more of an address that has too many waiting', () => {
    const { gate, turn } = gateOf(1, 2);
    expect(['1', '2', '3', '4'].map((stream) => gate.enter(stream, 'a'))).toEqual([true, true, true, false]);
    expect(gate.enter('5', 'b')).toBe(true);
    expect([turn(), turn(), turn(), turn()]).toEqual([['2'], ['5'], ['3'], []]);
    expect(gate.enter('6', 'a')).toBe(true);
  });

  it('has as many wait as a client may have calls under way, and not only a few', () => {
    const waitingMax = (callsPerClientMax: number): number =>
      streamSchedulerOptions(new CallQuota({ callsMax: 100_000, callsPerClientMax })).waitingOfAddressMax;
    expect([7, 5_000].map(waitingMax)).toEqual([1_024, 5_000]);
  });
});
