import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { sha256Of, writeCorpus } from '../end-to-end/corpus.js';
import { runGolog } from '../end-to-end/golog-process.js';
import { eventually, tell } from './deadline.js';
import { clusterTests } from './fixture.js';
import type { LiveCluster, LiveNode } from './live-cluster.js';
import { expectFileAtEachNode, expectIdentical } from './verdict.js';
import { hasLogged } from '../logging/logged-lines.js';

const run = clusterTests();
const formingMsMax = 10_000;
const linesMin = 20_000;
/** Other tests make it shorter. */
const asByDefault = ['--tick-interval', '100ms'];

/** Resolves when all of them have set out to form a cluster. */
async function areOnTheirWay(nodes: readonly LiveNode[]): Promise<void> {
  const events = ['no_node_known', 'waiting_to_join', 'cluster_bootstrapped'] as const;
  await eventually(
    'nodes on their way to a cluster',
    () => nodes.every(({ output }) => hasLogged(output, ...events)) || undefined,
  );
}

/** Starts the first node when the others wait for it; resolves with how long the three then need to be one cluster. */
async function form(cluster: LiveCluster, first: readonly string[], others: readonly string[]): Promise<number> {
  const [last, ...waiting] = cluster.nodes;
  const started = waiting.map((node) => node.start([...others, ...cluster.joining]));
  await areOnTheirWay(waiting);
  started.push(last.start([...first, ...cluster.joining]));
  await areOnTheirWay([last]);
  const startMs = performance.now();
  await Promise.all(started);
  await cluster.voters(cluster.nodes.map(({ name }) => name));
  return performance.now() - startMs;
}

describe('three nodes that are told where they are, the one that begins last', () => {
  it.each([
    ['one of them with --bootstrap', ['--bootstrap'], []],
    ['all with --bootstrap-expect', ['--bootstrap-expect', '3'], ['--bootstrap-expect', '3']],
  ])(
    'are one cluster in time, and a file through one of them comes out of all and of a replica: %s',
    (name, first, others) =>
      run(name.replaceAll(' ', '-'), async (own) => {
        let tookMs = Infinity;
        const nodes = await own.cluster(3, asByDefault, async (cluster) => {
          tookMs = await form(cluster, first, others);
        });
        tell(`one cluster after ${Math.round(tookMs)} ms`);
        expect(tookMs).toBeLessThan(formingMsMax);
        const replica = await own.node('r1', ['--replica']);
        await replica.start(nodes.joining);
        nodes.nodes.push(replica);

        const [original, copy] = [own.file('original'), own.file('copy')];
        const { lines } = writeCorpus(original, linesMin);
        const { address } = nodes.node('n2');
        const args = ['produce', '--addr', address, '--quiet', ...own.as('producer')];
        const { code, stderr } = await runGolog(args, readFileSync(original));
        expect([code, stderr]).toEqual([0, '']);
        await nodes.converged();
        const { stdout } = await runGolog(['servers', '--addr', address, '--json', ...own.as('operator')]);
        const { servers } = JSON.parse(stdout) as { servers: { id: string; gossip: string; lag?: number }[] };
        const rows = servers.map(({ id, gossip, lag }) => `${id} ${gossip} ${lag}`);
        expect(rows.sort()).toEqual(['n1 alive 0', 'n2 alive 0', 'n3 alive 0', 'r1 alive 0']);
        await expectFileAtEachNode(nodes, copy, await sha256Of(original), own.as('consumer'));
        await expectIdentical(nodes, lines);
      })(),
    240_000,
  );
});
