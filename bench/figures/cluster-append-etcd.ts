import { startEtcd } from '../harness/etcd.js';
import { ratioRow, type Figure } from '../harness/figure.js';
import { GologCluster } from '../harness/golog-cluster.js';
import { appendFor } from '../harness/loads.js';
import { missingPrograms } from '../harness/processes.js';
import { inTurn } from '../harness/rounds.js';

const rounds = 4;
const roundSeconds = 3;

export const clusterAppendEtcd: Figure = {
  name: 'cluster-append-etcd',
  title: 'batched append on three nodes, against puts in etcd',
  skip: () => missingPrograms(['etcd', 'h2load'], 'etcd-server, nghttp2-client'),
  run: async (bench) => {
    const cluster = await GologCluster.start(bench);
    const etcd = await startEtcd(bench);
    const leader = await cluster.settled();
    const pair = await inTurn(
      rounds,
      { pid: cluster.pids, load: () => appendFor(leader.rpcAddr, roundSeconds) },
      { pid: etcd.pids, load: () => etcd.put(roundSeconds) },
    );
    await Promise.all([cluster.stop(), etcd.stop()]);
    const head = { figure: 'append stream, 3 nodes', unit: 'records/s', baselineName: 'etcd put' };
    return [ratioRow(head, pair, { ratioAtLeast: 15 })];
  },
};
