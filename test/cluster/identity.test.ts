import { describe, expect, it } from '@jest/globals';
import { hasLogged, loggedLines } from '../logging/logged-lines.js';
import { eventually, tell } from './deadline.js';
import { damageHardState, recopy } from './directory-copies.js';
import { clusterTests, type Run } from './fixture.js';
import type { LiveCluster } from './live-cluster.js';
import type { Load } from './load.js';
import { expectAllKept, expectKept } from './verdict.js';

const run = clusterTests();

async function startAll({ nodes }: LiveCluster): Promise<void> {
  await Promise.all(nodes.map((node) => node.start()));
}

/** As after a power cut: every process ends at once, in the middle of its work. */
async function cutPower({ nodes }: LiveCluster): Promise<void> {
  await Promise.all(nodes.map((node) => node.killNine()));
}

async function expectSameIds(nodes: LiveCluster): Promise<void> {
  const { members } = await nodes.voters(nodes.nodes.map(({ name }) => name));
  expect(members.map(({ id }) => id)).toEqual(nodes.nodes.map((_, i) => i + 1));
}

/** Three members under load; expects at the end that they are the same three, and that nothing is lost. */
function three(name: string, test: (nodes: LiveCluster, load: Load, own: Run) => Promise<void>): () => Promise<void> {
  return run(name, async (own) => {
    const nodes = await own.cluster(3);
    const load = own.load(nodes);
    await load.more(200);
    await test(nodes, load, own);
    await load.more(200);
    await nodes.replicating(3);
    await expectSameIds(nodes);
    for (const { output } of nodes.nodes) expect(hasLogged(output, 'acknowledged_entries_lost')).toBe(false);
    await expectAllKept(nodes, load);
    tell(load.describe());
  });
}

describe('three members that all start again, under load', () => {
  it(
    'lead again from cold copies of all directories, with a warning',
    three('cold-copies', async (nodes, load) => {
      load.pause();
      expect(await Promise.all(nodes.nodes.map((node) => node.stop()))).toEqual([0, 0, 0]);
      nodes.nodes.forEach(recopy);
      await startAll(nodes);
      load.goOn();
      await load.more();
      for (const { output } of nodes.nodes)
        expect(loggedLines(output, 'data_directory_changed')).toMatchObject([{ level: 'warn', reason: 'copied' }]);
    }),
    240_000,
  );

  it(
    'lead again from copies of all directories as they were when their processes were killed',
    three('killed-copies', async (nodes, load) => {
      await cutPower(nodes);
      nodes.nodes.forEach(recopy);
      await startAll(nodes);
      await load.more();
    }),
    240_000,
  );

  it(
    'stay members if a directory is copied at every start, of one after the other',
    three('copied-each-time', async (nodes, load) => {
      for (let round = 0; round < 2; round += 1)
        for (const node of nodes.nodes) {
          expect(await node.stop()).toBe(0);
          recopy(node);
          await load.more();
          await node.start();
          await nodes.replicating(3);
          expect(loggedLines(node.output, 'data_directory_changed')).toHaveLength(round + 1);
        }
    }),
    240_000,
  );

  it(
    'lead again after each of several power cuts',
    three('power-cut', async (nodes, load) => {
      for (let round = 0; round < 3; round += 1) {
        await load.more(200);
        await cutPower(nodes);
        await startAll(nodes);
        await load.more();
      }
    }),
    240_000,
  );

  it.each([
    ['the newest slot', 'hard_state_slot_corrupt'],
    ['one bit of the newest slot', 'hard_state_slot_corrupt'],
    ['both slots', 'hard_state_lost'],
    ['the file', 'hard_state_lost'],
  ] as const)(
    'lead again if two of them have lost %s of their hard state in a power cut',
    async (what, event) =>
      three(`hard-state ${what}`, async (nodes, load) => {
        await cutPower(nodes);
        const damaged = nodes.nodes.slice(1);
        for (const node of damaged) damageHardState(node, what);
        await startAll(nodes);
        await load.more();
        for (const { output } of damaged) expect(loggedLines(output, event)).toHaveLength(1);
      })(),
    240_000,
  );
});

describe('a single node', () => {
  it(
    'leads at once after a kill; it listens for others first if its directory is a copy, and serves meanwhile',
    run('single', async (own) => {
      const nodes = await own.cluster(1, [], (cluster) => cluster.nodes[0].start(['--bootstrap']));
      const [node] = nodes.nodes;
      const load = own.load(nodes);
      await load.more(200);
      await node.killNine();
      await node.start();
      await load.more(200);
      expect(hasLogged(node.output, 'vouching_incomplete', 'data_directory_changed')).toBe(false);
      load.pause();
      expect(await node.stop()).toBe(0);
      recopy(node);
      const before = performance.now();
      await node.start();
      const problem = 'this node is the only voter it knows; it listens for other members for 30 s before it leads';
      expect((await node.view())?.problem).toContain(problem);
      expect((await node.log.read({ from: { offset: 0 } })).batches.length).toBeGreaterThan(0);
      await eventually(
        'the end of listening',
        async () => (await node.view())?.problem === undefined || undefined,
        60_000,
      );
      load.goOn();
      await load.more();
      expect(performance.now() - before).toBeGreaterThan(25_000);
      expect(loggedLines(node.output, 'data_directory_changed')).toHaveLength(1);
      await expectKept(nodes, load);
    }),
    240_000,
  );
});
