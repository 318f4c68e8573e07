import { expect, it } from '@jest/globals';
import type { ClusterStatus, MemberStatus } from '../../client/index.js';
import { devScreen } from './dev-screen.js';
import { devView } from './dev-view.js';

const unknown = { matchIndex: undefined, lagEntries: undefined, heardMsAgo: undefined, featureLevel: undefined };

function member(name: string, role: MemberStatus['role'], state: MemberStatus['state']): MemberStatus {
  return { id: Number(name.slice(1)), name, uuid: name, rpcAddr: `${name}:8400`, role, state, ...unknown };
}

function shownOf(
  name: string,
  answer: Pick<ClusterStatus, 'members' | 'leader'>,
): Parameters<typeof devView>[0][number] {
  const spec = {
    name,
    configFile: '',
    logFile: '',
    dataDir: name,
    rpcAddr: `${name}:8400`,
    httpAddr: `${name}:4001`,
    gossipAddr: `${name}:7946`,
  };
  const figures = { clusterId: 'c', term: 1, commitIndex: 3, lastIndex: 3, highWatermark: 0 };
  const none = { problem: undefined, scrub: undefined, gossip: [], settings: undefined };
  return { spec, status: { ...figures, ...none, ...answer, answeredBy: name }, end: undefined, pid: 1 };
}

it('shows a node as a voter once the leader says so, even if the node does not know yet', () => {
  const voters = [member('n1', 'leader', 'self'), member('n2', 'voter', 'replicating')];
  const before = [member('n1', 'leader', 'unknown'), member('n2', 'learner', 'unknown')];
  const view = devView([
    shownOf('n1', { leader: 'n1', members: voters }),
    shownOf('n2', { leader: 'n1', members: before }),
  ]);
  expect(view.ready).toBe(true);
  expect(view.nodes.map(({ role }) => role)).toEqual(['leader', 'voter']);
});

it.each([1, 3, 5])('fits on a terminal of 80 columns and 24 rows with %d nodes, its title first', (count) => {
  const names = Array.from({ length: count }, (_, i) => `n${i + 1}`);
  const members = names.map((name, i) => member(name, i === 0 ? 'leader' : 'voter', i === 0 ? 'self' : 'replicating'));
  const problem =
    'degraded: n2 unreachable for 31 s; n3 has acknowledged nothing for 12 s: its disk may hang or be full';
  const view = devView(
    names.map((name, i) => ({
      ...shownOf(name, { leader: 'n1', members }),
      spec: {
        ...shownOf(name, { members, leader: 'n1' }).spec,
        rpcAddr: `127.0.0.1:${8400 + 10 * i}`,
        httpAddr: '127.0.0.1:4001',
      },
      pid: 4_194_304,
      ...(i === 1 && { status: undefined, end: 'killed by SIGKILL' }),
    })),
  );
  const event =
    '12:00:00 n1 is down, killed by SIGKILL; to restart it: golog serve --config-file ./golog-dev/n1.yaml --data-dir x';
  const events = Array.from({ length: 8 }, (_, i) => `${event}${i}`);
  const lines = devScreen({ ...view, problem }, './golog-dev', events, {
    columns: 80,
    rows: 24,
    golog: 'bin/golog',
  }).split('\n');
  expect(lines.filter((line) => line.length > 80)).toEqual([]);
  expect(lines.length).toBeLessThanOrEqual(24);
  expect(lines[0]).toMatch(/^A (node|cluster of \d) in \.\/golog-dev\./);
  expect(lines.at(-2)).toMatch(/ x7$/);
});
