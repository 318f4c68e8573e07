import { describe, expect, it } from '@jest/globals';
import type { ClusterStatus } from '../client/index.js';
import { serverRows, serversText, withReplicaLag } from './servers.js';

const clusterId = '6f2f1c3e-6a39-4d0e-9f64-0a4b5b1f7a11';
const unknown = { matchIndex: undefined, lagEntries: undefined, heardMsAgo: undefined, featureLevel: undefined };

const status: ClusterStatus = {
  clusterId,
  answeredBy: 'n1',
  term: 1,
  leader: 'n1',
  commitIndex: 1,
  lastIndex: 1,
  highWatermark: 0,
  problem: undefined,
  scrub: undefined,
  settings: undefined,
  members: [
    { ...unknown, id: 1, name: 'n1', uuid: 'u1', rpcAddr: 'h1:8400', role: 'leader', state: 'self' },
    {
      ...unknown,
      lagEntries: 4,
      id: 2,
      name: 'n2',
      uuid: 'u2',
      rpcAddr: 'h2:8400',
      role: 'voter',
      state: 'unreachable',
    },
    { ...unknown, id: 3, name: 'n3', uuid: '', rpcAddr: 'h3:8400', role: 'learner', state: 'probing' },
  ],
  gossip: [
    { name: 'agent', addr: 'a:7946', status: 'alive', tags: { role: 'web' } },
    member('n1', 'alive', { role: 'node', id: 'u1', cluster: clusterId }),
    member('n2', 'failed', { role: 'node', id: 'u2', cluster: clusterId }),
    member('n9', 'alive', { role: 'node', id: 'u9' }),
    member('other', 'alive', { role: 'node', id: 'u8', cluster: 'another' }),
    member('r1', 'alive', { role: 'replica', id: 'u7', cluster: clusterId }),
  ],
};

function member(name: string, status: string, tags: Record<string, string>): ClusterStatus['gossip'][number] {
  const addresses = { rpc_addr: `${name}:8400`, http_addr: `${name}:4001` };
  return { name, addr: `${name}:8401`, status, tags: { ...addresses, version: '0.1.0', level: '1', ...tags } };
}

describe('serverRows', () => {
  it('matches members and gossip by UUID, and adds the other nodes of this cluster or of none', () => {
    expect(serverRows(status).map(({ id, role, state, gossip }) => [id, role, state, gossip])).toEqual([
      ['n1', 'leader', 'self', 'alive'],
      ['n2', 'voter', 'unreachable', 'failed'],
      ['n3', 'learner', 'probing', ''],
      ['n9', 'joining', '', 'alive'],
      ['r1', 'replica', '', 'alive'],
    ]);
  });

  it('has the lag of members, and of replicas that answer', async () => {
    const asked: string[] = [];
    const rows = await withReplicaLag(serverRows(status), 10, (rpcAddr) => {
      asked.push(rpcAddr);
      return Promise.resolve(7);
    });
    expect(asked).toEqual(['r1:8400']);
    expect(rows.map(({ id, lag }) => [id, lag])).toEqual([
      ['n1', undefined],
      ['n2', 4],
      ['n3', undefined],
      ['n9', undefined],
      ['r1', 3],
    ]);
    expect(serversText(rows, 200)).toMatch(/n2 .* 4 entries [^]*r1 .* 3 records /);
    const [silent] = await withReplicaLag(rows.slice(-1), 10, () => Promise.resolve(undefined));
    expect(silent?.lag).toBeUndefined();
  });

  it('has the feature level that each node offers', () => {
    const levels = serverRows(status).map(({ id, featureLevel }) => [id, featureLevel]);
    expect(levels).toEqual([
      ['n1', '1'],
      ['n2', '1'],
      ['n3', ''],
      ['n9', '1'],
      ['r1', '1'],
    ]);
  });

  it('fits in 80 columns', () => {
    const lines = serversText(serverRows(status), 80).split('\n');
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(lines.filter((line) => line.startsWith('n1')).length).toBeGreaterThan(1);
  });

  it('shows one row per node', () => {
    expect(
      serversText(serverRows(status), 200)
        .split('\n')
        .filter((line) => /n1|r1/.test(line)),
    ).toHaveLength(2);
  });
});

it('escapes control characters that a node gossips about itself', () => {
  const hostile = member('r\u202e2', 'alive', {
    role: 'replica',
    id: 'u6',
    version: '\u001b[2J\r\nn1 leader \u009b1m',
  });
  const text = serversText(serverRows({ ...status, gossip: [hostile] }), 200);
  // eslint-disable-next-line no-control-regex -- control characters are what it looks for
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  expect(text).toContain('\\u{1b}[2J\\u{d}\\u{a}n1 leader');
});
