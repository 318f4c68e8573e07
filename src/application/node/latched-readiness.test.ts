import { describe, expect, it } from '@jest/globals';
import { nodeStates, type NodeState } from '../ports/readiness.js';
import { LatchedReadiness } from './latched-readiness.js';

/** The states of `latched` while the node is in each of these states, one after the other. */
function latchedStates(...states: readonly NodeState[]): NodeState[] {
  const readiness = new LatchedReadiness();
  return states.map((state) => {
    readiness.follow(() => ({ state, problem: `why it is ${state}` }));
    return readiness.latched.state;
  });
}

describe('latched readiness', () => {
  it('is that of the moment until the node was ready once', () => {
    expect(new LatchedReadiness().latched.state).toBe('starting');
    expect(latchedStates('no-leader', 'catching-up', 'no-source')).toEqual(['no-leader', 'catching-up', 'no-source']);
  });

  it('outlasts only what is wrong with the cluster, and what passes by itself', () => {
    const outlasted = nodeStates.filter((state) => latchedStates('ready', state)[1] === 'ready');
    expect(outlasted).toEqual(['ready', 'disk-stalled', 'disk-full', 'catching-up', 'no-leader', 'no-source']);
    expect(latchedStates('ready', 'removed', 'no-leader')).toEqual(['ready', 'removed', 'ready']);
  });

  it('keeps the problem', () => {
    const readiness = new LatchedReadiness();
    readiness.follow(() => ({ state: 'ready' }));
    expect([readiness.strict, readiness.latched]).toEqual([{ state: 'ready' }, { state: 'ready' }]);
    readiness.follow(() => ({ state: 'no-leader', problem: 'no leader' }));
    expect(readiness.strict).toEqual({ state: 'no-leader', problem: 'no leader' });
    expect(readiness.latched).toEqual({ state: 'ready', problem: 'no leader' });
  });
});
