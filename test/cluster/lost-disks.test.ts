import { describe, expect, it } from '@jest/globals';
import { hasLogged, loggedLines } from '../logging/logged-lines.js';
import { eventually } from './deadline.js';
import { clusterTests } from './fixture.js';
import type { LiveCluster, LiveNode } from './live-cluster.js';

const run = clusterTests();

/** Starts a node that may not serve for long. */
function begin(node: LiveNode, flags: readonly string[]): void {
  node.start(flags).catch(() => undefined);
}

async function logs(nodes: readonly LiveNode[], event: 'cluster_admits_nobody' | 'bootstrap_waits'): Promise<void> {
  await eventually(event, () => nodes.every(({ output }) => hasLogged(output, event)) || undefined);
}

async function lose(nodes: readonly LiveNode[]): Promise<void> {
  await Promise.all(nodes.map((node) => node.killNine()));
  for (const node of nodes) node.wipe();
}

const begun = (nodes: readonly LiveNode[]): number =>
  nodes.flatMap(({ output }) => loggedLines(output, 'cluster_bootstrapped')).length;

/** Starts three, then the others: of five that start at once, `--bootstrap-expect 3` may begin two clusters. */
async function form(cluster: LiveCluster, flags: readonly string[]): Promise<void> {
  const { nodes, joining } = cluster;
  const start = (some: readonly LiveNode[]) => Promise.all(some.map((node) => node.start([...flags, ...joining])));
  await start(nodes.slice(0, 3));
  await cluster.voters(nodes.slice(0, 3).map(({ name }) => name));
  await start(nodes.slice(3));
  await cluster.voters(nodes.map(({ name }) => name));
}

describe('nodes that lost their disks and start as they first did', () => {
  it(
    'begin no second cluster beside members of theirs that have no quorum',
    run('three-of-five', async (own) => {
      const flags = ['--bootstrap-expect', '3'];
      const nodes = await own.cluster(5, [], (cluster) => form(cluster, flags));
      const load = own.load(nodes);
      await load.more();
      await load.end();
      const [lost, left] = [nodes.nodes.slice(0, 3), nodes.nodes.slice(3)];
      const { clusterId } = (await left[0].view())!;
      await lose(lost);
      for (const node of lost) begin(node, [...flags, ...nodes.joining]);
      await logs(lost, 'cluster_admits_nobody');
      expect(begun(nodes.nodes)).toBe(1);
      for (const node of lost) {
        const [line] = loggedLines(node.output, 'cluster_admits_nobody');
        expect(line).toMatchObject({ level: 'warn', clusterId });
        await expect(node.log.info()).rejects.toThrow(`this node is starting and waits to join cluster ${clusterId}`);
      }
      // A member that waits for its cluster says which it is, even if it is the only one.
      await Promise.all(left.map((node) => node.killNine()));
      await Promise.all(lost.map((node) => node.killNine()));
      await left[0].start();
      for (const node of lost) begin(node, [...flags, ...nodes.joining]);
      await eventually(
        'the wait of each',
        () => lost.every(({ output }) => loggedLines(output, 'cluster_admits_nobody').length === 2) || undefined,
      );
      expect(begun(nodes.nodes)).toBe(1);
    }),
    240_000,
  );

  it(
    'wait for the others if they are to begin a cluster alone and are the first to start',
    run('first-with-bootstrap', async (own) => {
      const nodes = await own.cluster(3, [], async (cluster) => {
        const [first, ...others] = cluster.nodes;
        await Promise.all([
          first.start(['--bootstrap', ...cluster.joining]),
          ...others.map((node) => node.start(cluster.joining)),
        ]);
        await cluster.voters(['n1', 'n2', 'n3']);
      });
      const load = own.load(nodes);
      await load.more();
      await load.end();
      const [first, ...others] = nodes.nodes;
      const { clusterId, highWatermark } = (await first.view())!;
      await lose([first]);
      await Promise.all(others.map((node) => node.killNine()));
      begin(first, ['--bootstrap', ...nodes.joining]);
      await logs([first], 'bootstrap_waits');
      const [waits] = loggedLines(first.output, 'bootstrap_waits');
      for (const { gossipAddr } of others) expect(waits.reason).toContain(gossipAddr);
      expect(waits.reason).not.toContain(first.gossipAddr);
      await Promise.all(others.map((node) => node.start()));
      expect(await nodes.voters(['n1', 'n2', 'n3'])).toMatchObject({ clusterId });
      await nodes.converged();
      expect((await first.view())?.highWatermark).toBeGreaterThanOrEqual(highWatermark);
      expect(begun(nodes.nodes)).toBe(1);
    }),
    240_000,
  );
});
