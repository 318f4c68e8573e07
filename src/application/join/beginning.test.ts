import { describe, expect, it } from '@jest/globals';
import type { NodeAnswer } from './asked-nodes.js';
import { beginningOf, type Sighting } from './beginning.js';

const cluster = '11111111-1111-1111-1111-111111111111';
const clusterId = new Uint8Array(16).fill(0x11);
const asked: Sighting = { clusterIds: [], unanswered: [], askedAll: true };
const waits = (uuid: string, bootstrapExpect: number): NodeAnswer => ({
  ...{ kind: 'waiting', address: `${uuid}:1` },
  joiner: { name: uuid, uuid, rpcAddr: `${uuid}:1`, bootstrapExpect },
});
const retry: NodeAnswer = { kind: 'retry', address: 'r:1', reason: 'this node is starting' };
const member: NodeAnswer = { ...retry, clusterId };
const refusing: NodeAnswer = { kind: 'refused', address: 'f:1', reason: 'the name is taken', clusterId };
const silent: NodeAnswer = { kind: 'unanswered', address: 's:1', reason: 'connection refused' };

describe('a node that would begin a cluster', () => {
  it.each<[string, number, Partial<Sighting>, NodeAnswer[], string]>([
    // what it sees, how many begin it together, gossip, the answers, what it does
    ['alone, with an answer from each', 1, {}, [waits('x', 0)], 'begins'],
    ['alone, without a node to ask', 1, {}, [], 'begins'],
    ['alone, with a given address that is silent', 1, { unanswered: ['g:1'] }, [waits('x', 0)], 'waits for g:1'],
    ['alone, with a node that gossip knows and that is silent', 1, {}, [silent], 'waits for s:1'],
    ['alone, with a node that starts', 1, {}, [retry], 'waits for r:1'],
    ['alone, with another that would and has a lower UUID', 1, {}, [waits('a', 1)], 'waits'],
    ['alone, with another that would and has a higher UUID', 1, {}, [waits('x', 1)], 'begins'],
    ['with others', 3, {}, [waits('x', 3), waits('y', 3)], 'begins'],
    ['with others, one of them first', 3, {}, [waits('a', 3), waits('y', 3)], 'waits'],
    ['with others, one of which expects another number', 3, {}, [waits('x', 3), waits('y', 5)], 'waits'],
    ['with others, one of which is silent', 3, {}, [waits('x', 3), silent], 'waits'],
    ['with enough others, though another is silent', 2, { unanswered: ['g:1'] }, [waits('x', 2), silent], 'begins'],
    ['with enough others, before all were asked', 2, { askedAll: false }, [waits('x', 2)], 'waits'],
    ['with enough others, and a node that starts', 2, {}, [waits('x', 2), retry], 'waits for r:1'],
    ['with enough others, and a member without a leader', 2, {}, [waits('x', 2), member], 'joins'],
    ['with enough others, and a member that refuses', 2, {}, [waits('x', 2), refusing], 'joins'],
    ['with enough others, and a cluster in the gossip', 2, { clusterIds: [cluster] }, [waits('x', 2)], 'joins'],
    ['alone, and a cluster in the gossip', 1, { clusterIds: [cluster], unanswered: ['g:1'] }, [], 'joins'],
  ])('%s', (_what, bootstrapExpect, gossip, answers, expected) => {
    const found = beginningOf({ uuid: 'm', bootstrapExpect }, { ...asked, ...gossip }, answers);
    const [kind, , missing] = expected.split(' ');
    expect(found).toMatchObject({
      ...{ kind, ...(kind === 'joins' && { clusterId: cluster }) },
      ...(missing !== undefined && { reason: expect.stringContaining(missing) }),
    });
  });

  it('never begins one if it is to join one', () => {
    expect(beginningOf({ uuid: 'm', bootstrapExpect: 0 }, asked, [])).toEqual({ kind: 'joins' });
  });
});
