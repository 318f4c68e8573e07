import { ratioRow, type Figure } from '../harness/figure.js';
import { GologCluster } from '../harness/golog-cluster.js';
import { appendFor } from '../harness/loads.js';
import { startNats } from '../harness/nats.js';
import { missingPrograms } from '../harness/processes.js';
import { inTurn } from '../harness/rounds.js';

const rounds = 4;
const roundSeconds = 3;
const natsInFlight = 4_000;

export const clusterAppendNats: Figure = {
  name: 'cluster-append-nats',
  title: 'batched append on three nodes, against NATS JetStream with three replicas',
  skip: () => missingPrograms(['nats-server'], 'nats-server'),
  run: async (bench) => {
    const cluster = await GologCluster.start(bench);
    const nats = await startNats(bench);
    const leader = await cluster.settled();
    const pair = await inTurn(
      rounds,
      { pid: cluster.pids, load: () => appendFor(leader.rpcAddr, roundSeconds) },
      { pid: nats.pids, load: () => nats.publish(roundSeconds, natsInFlight) },
    );
    await Promise.all([cluster.stop(), nats.stop()]);
    const note = `NATS: ${natsInFlight} in flight, not synced`;
    const head = { figure: 'append stream, 3 nodes', unit: 'records/s', baselineName: 'NATS JetStream R3', note };
    return [ratioRow(head, pair, { ratioAtLeast: 3 })];
  },
};
