import { describe, expect, it } from '@jest/globals';
import { eventually, tell } from './deadline.js';
import { clusterTests, type Run } from './fixture.js';
import type { LiveCluster, LiveNode } from './live-cluster.js';
import type { Load } from './load.js';
import { expectAllKept } from './verdict.js';

const run = clusterTests();

/** A replica of the cluster, which takes a part of the load, and is compared with the members at the end. */
async function addReplica(own: Run, nodes: LiveCluster): Promise<LiveNode> {
  const replica = await own.node('r1', ['--replica']);
  await replica.start(nodes.joining);
  nodes.nodes.push(replica);
  return replica;
}

/** Resolves when the replica has all that was acknowledged before the call. */
async function hasCaughtUp(replica: LiveNode, load: Load): Promise<void> {
  const end = load.acknowledgedEnd;
  await eventually('the replica', async () => ((await replica.info())?.highWatermark ?? 0) >= end || undefined);
}

describe('a read replica under load', () => {
  it(
    'takes appends, and has every byte, though members and it itself are killed',
    run('replica', async (own) => {
      const nodes = await own.cluster(3);
      const members = [...nodes.nodes];
      const replica = await addReplica(own, nodes);
      const load = own.load(nodes);
      await load.more();
      for (const member of members) {
        await member.killNine();
        await load.more();
        await hasCaughtUp(replica, load);
        await member.start();
        await nodes.replicating(3);
      }
      const shown = (await replica.info())?.highWatermark ?? 0;
      await replica.killNine();
      await load.more();
      await replica.start();
      expect((await replica.info())?.highWatermark).toBeGreaterThanOrEqual(shown);
      await hasCaughtUp(replica, load);
      const { members: known } = (await (await nodes.leader()).view()) ?? { members: [] };
      expect(known.map(({ name }) => name).sort()).toEqual(['n1', 'n2', 'n3']);
      tell(load.describe());
      await expectAllKept(nodes, load);
    }),
    240_000,
  );
});
