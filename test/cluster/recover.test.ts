import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { runGolog } from '../end-to-end/golog-process.js';
import { eventually } from './deadline.js';
import { clusterTests } from './fixture.js';
import type { LiveNode } from './live-cluster.js';

const asideOf = ({ dataDir }: LiveNode): string[] =>
  readdirSync(join(dataDir, 'logs')).filter((name) => name.startsWith('before-generation-'));

/** Resolves when the process of the node has ended by itself. */
const ended = (node: LiveNode): Promise<true> =>
  eventually(`the end of ${node.name}`, () => (node.isUp ? undefined : (true as const)));

describe('a live cluster that lost a majority', () => {
  const inRun = clusterTests();

  it(
    'goes on with one member, keeps what was acknowledged, and takes the others back with empty logs',
    inRun('recover', async (run) => {
      const nodes = await run.cluster(3);
      const [n1, n2, n3] = nodes.nodes;
      const load = run.load(nodes);
      await load.more();
      await load.end();
      await nodes.converged();
      const end = load.acknowledgedEnd;
      for (const node of nodes.nodes) await node.killNine();
      n3.wipe();

      expect(await runGolog(['recover', n1.dataDir])).toMatchObject({ code: 2 });
      const { code, stdout, stderr } = await runGolog(['recover', n1.dataDir, '--yes', '--json']);
      expect([code, stderr]).toEqual([0, expect.stringMatching(/only member, as member 4, in generation 1/)]);
      const report: unknown = JSON.parse(readFileSync(join(n1.dataDir, 'raft/recovered-1.json'), 'utf8'));
      expect(JSON.parse(stdout)).toMatchObject({ generation: 1, endOffset: end });
      expect(report).toMatchObject({ generation: 1, endOffset: end });

      await n1.start();
      expect((await n1.info())?.highWatermark).toBe(end);
      expect(n1.output).toMatch(/"event":"cluster_recovered","audit":"recover"/);

      await n2.start();
      expect(n2.output).toMatch(/"event":"log_set_aside"/);
      expect(asideOf(n2)).toEqual(['before-generation-1']);
      await n3.start(nodes.joining);
      const status = await nodes.voters(['n1', 'n2', 'n3']);
      expect(status.settings).toMatchObject({ generation: 1, featureLevel: 1 });
      const after = run.load(nodes);
      await after.more();
      await after.end();
      await nodes.converged();
      expect(after.acknowledgedEnd).toBeGreaterThan(end);
      expect((await nodes.compareStopped()).differences).toEqual([]);
    }),
    120_000,
  );

  it(
    'has members and replicas of the other history stop when they are told, and rejoin at their next start',
    inRun('histories', async (run) => {
      const nodes = await run.cluster(3);
      const [n1, n2, n3] = nodes.nodes;
      const replica = await run.node('r1', ['--replica']);
      await replica.start(nodes.joining);
      await nodes.converged([...nodes.nodes, replica]);
      await n1.stop();
      // The operator takes the others for lost, but they go on.
      const other = run.load(nodes);
      await other.more();
      await other.end();
      const lost = other.acknowledgedEnd;
      expect((await runGolog(['recover', n1.dataDir, '--yes'])).code).toBe(0);
      await n1.start();
      for (const node of [n2, n3]) await ended(node);
      expect(n2.output + n3.output).toMatch(/is at generation 1 of its log/);
      expect((await n1.info())?.highWatermark).toBe(0);
      const load = run.load({ addresses: [n1.address] });
      await load.more();
      await load.end();
      await ended(replica);
      for (const node of [n2, n3]) await node.start();
      await replica.start();
      for (const node of [n2, n3, replica]) expect(asideOf(node)).toEqual(['before-generation-1']);
      await nodes.voters(['n1', 'n2', 'n3']);
      await nodes.converged([...nodes.nodes, replica]);
      // Nothing of the other history is gone.
      const aside = join(n2.dataDir, 'logs/before-generation-1');
      expect(existsSync(aside)).toBe(true);
      const dumped = await runGolog(['dump', join(aside, '00000000000000000000.store'), '--json']);
      const counts = dumped.stdout.split('\n').flatMap((line) => /"recordCount":(\d+)/.exec(line)?.[1] ?? []);
      expect(counts.reduce((sum, count) => sum + Number(count), 0)).toBeGreaterThanOrEqual(lost);
      nodes.nodes.push(replica);
      expect((await nodes.compareStopped()).differences).toEqual([]);
    }),
    120_000,
  );
});
