import { describe, expect, it } from '@jest/globals';
import { encodeNodeTags, gossipNodes } from './gossip-tags.js';

const tags = encodeNodeTags({
  role: 'node',
  uuid: '01234567-89ab-4cde-8f01-23456789abcd',
  rpcAddr: '10.0.0.1:8400',
  httpAddr: '10.0.0.1:4001',
  clusterId: '11234567-89ab-4cde-8f01-23456789abcd',
  version: '0.1.0',
  featureLevel: 1,
});
const nodeOf = (name: string, more: Readonly<Record<string, string>> = {}): unknown =>
  gossipNodes([{ name, addr: '10.0.0.1:8401', status: 'alive', tags: new Map([...tags, ...Object.entries(more)]) }]).at(
    0,
  );

describe('the gossip tags of a member', () => {
  it('describe a golog node when all of them are valid', () => {
    expect(nodeOf('n1')).toMatchObject({ name: 'n1', rpcAddr: '10.0.0.1:8400', version: '0.1.0', featureLevel: 1 });
    expect(nodeOf('n1', { role: 'replica', http_addr: '' })).toMatchObject({ role: 'replica', httpAddr: '' });
  });

  it.each(['', '../n1', 'n1/..', 'n\u00001', 'n1\n', '__proto__', 'x'.repeat(300), '\u001b[2J', 'ä'])(
    'are rejected with the name %j',
    (name) => {
      expect(nodeOf(name)).toBeUndefined();
    },
  );

  it.each([
    ['id', '../../etc'],
    ['id', 'x'.repeat(300)],
    ['rpc_addr', '10.0.0.1'],
    ['rpc_addr', '10.0.0.1:0'],
    ['rpc_addr', 'unix:///run/some.sock:1'],
    ['http_addr', 'javascript:alert(1)'],
    ['cluster', 'mine'],
    ['version', '0.1\u001b[31m'],
    ['level', '-1'],
  ])('are rejected with %s=%j', (tag, value) => {
    expect(nodeOf('n1', { [tag]: value })).toBeUndefined();
  });
});
