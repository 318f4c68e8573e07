import { startEtcd, type Etcd } from '../harness/etcd.js';
import { ratioRow, type Figure } from '../harness/figure.js';
import { GologCluster } from '../harness/golog-cluster.js';
import { h2load } from '../harness/h2load.js';
import { highWatermark, paths } from '../harness/loads.js';
import { missingPrograms } from '../harness/processes.js';
import { inTurn, type Load, type Pair } from '../harness/rounds.js';
import { grpcFrame, produceRequest } from '../harness/wire.js';

const rounds = 3;
const roundSeconds = 2;
const inFlight = 256;

export const clusterProduce: Figure = {
  name: 'cluster-produce',
  title: 'unary Produce on three nodes, 256 in flight, at the leader and forwarded, against puts in etcd',
  skip: () => missingPrograms(['etcd', 'h2load'], 'etcd-server, nghttp2-client'),
  run: async (bench) => {
    const directory = await bench.temporaryDirectory();
    const cluster = await GologCluster.start(bench);
    const etcd = await startEtcd(bench);
    const leader = await cluster.settled();
    const follower = await cluster.follower();
    const produceAt = async (address: string): Promise<Load> => {
      const before = await highWatermark(leader.rpcAddr);
      const body = grpcFrame(produceRequest());
      const contentType = 'application/grpc';
      const done = await h2load({ address, path: paths.produce, contentType, body, seconds: roundSeconds }, directory);
      const grown = (await highWatermark(leader.rpcAddr)) - before;
      if (grown < done.units || grown > done.units + inFlight)
        throw new Error(`${done.units} calls succeeded, the log grew by ${grown}`);
      return done;
    };
    const against = (baseline: Etcd, address: string): Promise<Pair> =>
      inTurn(
        rounds,
        { pid: cluster.pids, load: () => produceAt(address) },
        { pid: baseline.pids, load: () => baseline.put(roundSeconds) },
      );
    const atLeader = await against(etcd, leader.rpcAddr);
    const forwarded = await against(etcd, follower.rpcAddr);
    await Promise.all([cluster.stop(), etcd.stop()]);
    await bench.remove(directory);
    const head = { unit: 'calls/s', baselineName: 'etcd put' };
    return [
      ratioRow({ figure: 'unary Produce, 3 nodes, leader', ...head }, atLeader, { ratioAtLeast: 0.5 }),
      ratioRow({ figure: 'unary Produce, 3 nodes, forwarded', ...head }, forwarded, { ratioAtLeast: 0.3 }),
    ];
  },
};
