import { expect, it } from '@jest/globals';
import type { ClusterStatus } from '../../client/index.js';
import { DevEvents, type WatchedNode } from './dev-events.js';
import type { DevView } from './dev-view.js';

/** A node that is up, and how it may be killed. */
interface Watched extends WatchedNode {
  status: WatchedNode['status'];
  end: string | undefined;
}

function nodesUp(count: number): Watched[] {
  return Array.from({ length: count }, (_, i) => {
    const name = `n${i + 1}`;
    const files = { configFile: '', logFile: '', dataDir: name };
    const spec = { name, rpcAddr: `h:84${i}0`, httpAddr: `h:40${i}1`, ...files };
    return { spec, status, end: undefined, command: `bin/golog serve ${name}`, pid: i };
  });
}

const status: ClusterStatus = {
  ...{ clusterId: 'c', answeredBy: 'n1', leader: 'n1', term: 1, commitIndex: 1, lastIndex: 1, highWatermark: 0 },
  ...{ members: [], gossip: [], settings: undefined, problem: undefined, scrub: undefined },
};
const view: DevView = { ready: true, leader: undefined, term: 1, problem: undefined, nodes: [] };

it.each([
  [1, 1, ['no leader is possible while 0 of 1 nodes run, need 1']],
  [3, 1, []],
  [3, 2, ['no leader is possible while 1 of 3 nodes run, need 2: appends wait, and reads get what is committed']],
  [5, 2, []],
  [5, 3, ['no leader is possible while 2 of 5 nodes run, need 3: appends wait, and reads get what is committed']],
])(
  'of %d nodes with %d killed says how to restart each, and once that no leader is possible',
  (count, killed, said) => {
    const nodes = nodesUp(count);
    const events = new DevEvents(nodes);
    events.since(view);
    for (const node of nodes.slice(0, killed)) [node.status, node.end] = [undefined, 'killed by SIGKILL'];
    const restarts = nodes
      .slice(0, killed)
      .map((_, i) => `n${i + 1} is down, killed by SIGKILL; to restart it: bin/golog serve n${i + 1}`);
    expect(events.since(view)).toEqual([...restarts, ...said]);
    expect(events.since(view)).toEqual([]);
  },
);
