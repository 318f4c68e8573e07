import { SteadyProducers } from '../harness/fail-over.js';
import { valueRow, type Figure } from '../harness/figure.js';
import { GologCluster } from '../harness/golog-cluster.js';
import { highWatermark } from '../harness/loads.js';
import { sampleOf } from '../harness/rounds.js';

const kills = 20;

interface Profile {
  readonly name: string;
  readonly words: string;
  readonly args: readonly string[];
  readonly belowMs: number;
}

const failOver = ({ name, words, args, belowMs }: Profile): Figure => ({
  name,
  title: `kill -9 of the leader of three to the first acknowledged produce, ${words}`,
  run: async (bench) => {
    const cluster = await GologCluster.start(bench, 3, args);
    const producers = new SteadyProducers(cluster.addresses);
    const spans: number[] = [];
    for (let kill = 0; kill < kills; kill++) {
      const leader = await cluster.settled();
      const acknowledged = producers.firstAcknowledged();
      await leader.stop('SIGKILL');
      spans.push(await acknowledged);
      await cluster.restart(leader);
    }
    const leader = await cluster.settled();
    await producers.stop();
    await producers.check(leader.rpcAddr, await highWatermark(leader.rpcAddr));
    await cluster.stop();
    const { median, least, most } = sampleOf(spans);
    const note = `${kills} times, ${least.toFixed(0)} to ${most.toFixed(0)} ms; none of ${producers.acknowledged} acknowledged records lost`;
    return [valueRow({ figure: `fail-over, ${words}`, unit: 'ms', note }, median, { below: belowMs })];
  },
});

export const clusterFailOver = failOver({ name: 'cluster-fail-over', words: 'defaults', args: [], belowMs: 2_500 });

export const clusterFailOverFast = failOver({
  name: 'cluster-fail-over-fast',
  words: '--tick-interval 30ms',
  args: ['--tick-interval', '30ms'],
  belowMs: 1_000,
});
