import { setTimeout as delay } from 'node:timers/promises';
import { valueRow, type Figure } from '../harness/figure.js';
import { GologCluster } from '../harness/golog-cluster.js';
import { useOf } from '../harness/processes.js';

const settleSeconds = 3;
/** Node collects its heap twice in the first minute without calls, then hardly ever: less would tell when, not how much. */
const seconds = 60;

export const clusterIdle: Figure = {
  name: 'cluster-idle',
  title: 'three nodes that nobody calls: CPU of each',
  run: async (bench) => {
    const cluster = await GologCluster.start(bench);
    const leader = await cluster.settled();
    await delay(settleSeconds * 1000);
    const cpuSeconds = (): Promise<readonly number[]> =>
      Promise.all(cluster.pids.map(async (pid) => (await useOf(pid)).cpuSeconds));
    const before = await cpuSeconds();
    const startedAt = performance.now();
    await delay(seconds * 1000);
    const after = await cpuSeconds();
    const share = 100 / ((performance.now() - startedAt) / 1000);
    const percents = after.map((used, place) => (used - before[place]) * share);
    await cluster.stop();
    const leads = percents[cluster.pids.indexOf(leader.pid)] ?? 0;
    const note = `leader ${leads.toFixed(2)}, all ${percents.map((percent) => percent.toFixed(2)).join(', ')}`;
    return [
      valueRow({ figure: 'idle, 3 nodes: most of any', unit: '% of a core', note }, Math.max(...percents), {
        below: 2,
      }),
    ];
  },
};
