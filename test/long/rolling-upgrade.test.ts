import { beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, generousMs, tell } from '../cluster/deadline.js';
import { clusterTests, type Run } from '../cluster/fixture.js';
import type { LiveCluster, LiveNode } from '../cluster/live-cluster.js';
import type { Load } from '../cluster/load.js';
import { expectAllKept } from '../cluster/verdict.js';
import { type Finished, runGolog, Scratch } from '../end-to-end/golog-process.js';
import { hasLogged } from '../logging/logged-lines.js';
import { buildEarlierRelease, noEarlierReleaseBecause } from './earlier-release.js';

const reason = noEarlierReleaseBecause();
if (reason !== undefined) tell(`the rolling upgrade is skipped: ${reason}`);
const title = reason === undefined ? '' : ` (not here: ${reason})`;

const run = clusterTests();
const small = ['--segment-bytes', '64KiB'];
let launcher: string;

beforeAll(() => {
  if (reason === undefined) launcher = buildEarlierRelease(new Scratch().path);
}, 600_000);

/** Starts all nodes with the earlier release. */
const asBefore = async (cluster: LiveCluster, start: (cluster: LiveCluster) => Promise<void>): Promise<void> => {
  for (const node of cluster.nodes) node.change({ launcher });
  await start(cluster);
};

/** Restarts the node with this release, or with the earlier one. */
async function change(nodes: LiveCluster, node: LiveNode, to: { launcher?: string }, load: Load): Promise<void> {
  const errors = load.errorCount;
  expect(await node.stop()).toBe(0);
  node.change(to);
  await load.more(30);
  await node.start();
  await nodes.replicating(nodes.nodes.length);
  await load.more();
  const what = to.launcher === undefined ? 'the new release' : 'the earlier release again';
  tell(`${node.name} runs ${what}: ${load.errorCount - errors} errors`);
}

function setRetention(own: Run, { address }: LiveNode): Promise<Finished> {
  return runGolog(['cluster', 'set', 'retention-bytes', '1GiB', '--addr', address, ...own.as('operator')]);
}

const levelOf = async (node: LiveNode): Promise<number> => (await node.view())?.settings?.featureLevel ?? 0;

/** Every node serves what is acknowledged while the releases are mixed, and no setting can be changed. */
async function expectMixed(own: Run, nodes: LiveCluster, load: Load): Promise<void> {
  for (const node of nodes.nodes) {
    const end = load.acknowledgedEnd;
    await eventually(`${node.name} to serve ${end} records`, async () =>
      ((await node.info())?.highWatermark ?? 0) >= end ? true : undefined,
    );
    const { batches } = await node.log.read({ from: { offset: end - 1 } });
    expect(batches.at(-1)!.baseOffset + batches.at(-1)!.recordCount).toBeGreaterThanOrEqual(end);
    expect(await levelOf(node)).toBe(0);
    const { code, stderr } = await setRetention(own, node);
    expect([node.name, code, stderr]).toEqual([
      node.name,
      1,
      expect.stringMatching(/feature level|does not implement/),
    ]);
  }
}

(reason === undefined ? describe : describe.skip)(`an upgrade from the release before feature levels${title}`, () => {
  it(
    'of one node after the other, under load, loses nothing, can be taken back, and raises the level with the last',
    run('rolling-upgrade', async (own) => {
      const nodes = await own.cluster(3, small, (cluster) => asBefore(cluster, (each) => each.start()));
      const replica = await own.node('r1', small);
      replica.change({ launcher });
      await replica.start(['--replica', ...nodes.joining]);
      const load = own.load(nodes);
      await load.more(600);
      const [first, second] = await nodes.followers();
      const third = await nodes.leader();
      tell(`${third.name} leads`);
      for (const node of nodes.nodes) expect((await node.view())?.settings).toBeUndefined();

      await change(nodes, first, {}, load);
      await expectMixed(own, nodes, load);
      await change(nodes, first, { launcher }, load);
      await change(nodes, first, {}, load);
      await expectMixed(own, nodes, load);

      // The leader, so that one of either release is next.
      await change(nodes, third, {}, load);
      await expectMixed(own, nodes, load);
      for (let round = 0; round < 2; round += 1) {
        const leader = await nodes.leader();
        await leader.killNine();
        await load.more();
        await leader.start();
        await nodes.replicating(3);
        await load.more();
      }
      // A power cut in the middle of it.
      await Promise.all(nodes.nodes.map((node) => node.killNine()));
      await Promise.all(nodes.nodes.map((node) => node.start()));
      await load.more();
      await nodes.replicating(3);
      await expectMixed(own, nodes, load);

      await change(nodes, second, {}, load);
      await eventually('feature level 1 at all', async () =>
        (await Promise.all(nodes.nodes.map(levelOf))).every((level) => level === 1) ? true : undefined,
      );
      expect(await setRetention(own, first)).toMatchObject({ code: 0, stdout: '1073741824B\n' });
      expect(await replica.stop()).toBe(0);
      replica.change({});
      await replica.start(['--replica']);
      nodes.nodes.push(replica);

      // From here on the earlier release is refused, and what it did changes nothing.
      expect(await second.stop()).toBe(0);
      second.change({ launcher });
      await second.start().catch(() => undefined);
      await load.more(300);
      expect((await nodes.leader()) === second).toBe(false);
      expect(hasLogged(second.process!.stderr, 'leader_elected')).toBe(false);
      await second.killNine();
      second.change({});
      await second.start();
      await nodes.replicating(3);
      await load.more();
      for (const node of nodes.nodes) {
        expect(await levelOf(node)).toBe(1);
        expect(hasLogged(node.output, 'fatal_error', 'acknowledged_entries_lost')).toBe(false);
      }
      tell(load.describe());
      await expectAllKept(nodes, load);
    }),
    600_000,
  );

  it.each(['stop', 'killNine'] as const)(
    'of all nodes at once (%s) serves the data directories as they are',
    async (end) =>
      run(`upgrade-at-once-${end}`, async (own) => {
        const nodes = await own.cluster(3, small, (cluster) => asBefore(cluster, (each) => each.start()));
        const load = own.load(nodes);
        await load.more(600);
        const { members } = await nodes.voters(nodes.nodes.map(({ name }) => name));
        await Promise.all(nodes.nodes.map((node) => node[end]()));
        for (const node of nodes.nodes) node.change({});
        await Promise.all(nodes.nodes.map((node) => node.start()));
        await load.more(600);
        const after = await nodes.voters(nodes.nodes.map(({ name }) => name));
        expect(after.members.map(({ id, uuid }) => [id, uuid])).toEqual(members.map(({ id, uuid }) => [id, uuid]));
        await expectAllKept(nodes, load);
      })(),
    240_000,
  );

  it.each(['stop', 'killNine'] as const)(
    'of a single node (%s) opens its data directory, truncated at the front, and leads at once',
    async (end) =>
      run(`upgrade-alone-${end}`, async (own) => {
        const flags = ['--segment-bytes', '16KiB'];
        const nodes = await own.cluster(1, flags, (cluster) =>
          asBefore(cluster, ({ nodes: [node] }) => node.start(['--bootstrap', '--retention-bytes', '64KiB'])),
        );
        const [node] = nodes.nodes;
        const load = own.load(nodes);
        await load.more(1_500);
        const started = await eventually('a log start', async () => (await node.info())?.logStartOffset || undefined);
        await node[end]();
        node.change({});
        const startMs = performance.now();
        await node.start();
        await load.more();
        expect(performance.now() - startMs).toBeLessThan(generousMs);
        await eventually('feature level 1', async () => ((await levelOf(node)) === 1 ? true : undefined));
        expect(await setRetention(own, node)).toMatchObject({ code: 0 });
        expect((await node.info())?.logStartOffset).toBeGreaterThanOrEqual(started);
        expect(hasLogged(node.process!.stderr, 'data_directory_changed', 'vouching_incomplete')).toBe(false);
        await load.stop();
      })(),
    240_000,
  );
});
