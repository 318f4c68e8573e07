import { describe, expect, it } from '@jest/globals';
import { objectionTo } from './seat-claim.js';

const clusterId = new Uint8Array(16).fill(7);
const member = { name: 'n1', rpcAddr: 'here:1' };
const claim = (name: string, rpcAddr: string) => ({ name, uuid: 'its-uuid', rpcAddr, bootstrapExpect: 0 });

describe('a node with the UUID of a member', () => {
  it.each([
    // name, address, whether a process answers as the member, whether it is the only member and asks itself; the answer
    ['n1', 'here:1', true, false, undefined],
    ['n1', 'here:1', false, false, undefined],
    ['n1', 'elsewhere:1', false, false, undefined],
    ['n1', 'elsewhere:1', true, false, { kind: 'retry', aliveAt: 'here:1' }],
    ['n9', 'here:1', true, false, { kind: 'refused', clusterId }],
    ['n9', 'here:1', false, false, { kind: 'refused', clusterId }],
    ['n9', 'elsewhere:1', false, false, { kind: 'refused', clusterId }],
    ['n9', 'elsewhere:1', true, false, { kind: 'refused', clusterId }],
    ['n9', 'elsewhere:1', false, true, undefined],
  ])('as %s at %s, with the member alive: %s, alone: %s', (name, rpcAddr, isAlive, isAlone, answer) => {
    const objection = objectionTo(claim(name, rpcAddr), member, { clusterId, silentMs: isAlive ? 0 : 3_000, isAlone });
    if (answer === undefined) expect(objection).toBeUndefined();
    else expect(objection).toMatchObject(answer);
  });

  it('gets an answer that says what to do', () => {
    const state = { clusterId, silentMs: 0, isAlone: false };
    expect(objectionTo(claim('n9', 'elsewhere:1'), member, state)).toMatchObject({
      reason:
        'this data directory (UUID its-uuid) is that of the member n1, which is alive at here:1: start it with ' +
        '--node-name n1, not n9. To rename the member, remove it first (golog member remove n1). ' +
        "If this is a copy of another node's directory, start with an empty one",
    });
    expect(objectionTo(claim('n1', 'elsewhere:1'), member, state)).toMatchObject({
      reason: expect.stringMatching(/is alive at here:1: if this is a copy .* if the member has moved here, stop/),
    });
  });
});
