import { expect, it } from '@jest/globals';
import type { ClusterStatus, MemberStatus } from '../../client/index.js';
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
