import { describe, expect, it } from '@jest/globals';
import { tell } from './deadline.js';
import { type Copy, copyOf, everything, putBack } from './directory-copies.js';
import { clusterTests } from './fixture.js';
import type { LiveCluster, LiveNode } from './live-cluster.js';
import type { Load } from './load.js';
import { expectAllKept } from './verdict.js';
import { hasLogged } from '../logging/logged-lines.js';

const run = clusterTests();
const names = ['n1', 'n2', 'n3'];

const idOf = async (nodes: LiveCluster, { name }: LiveNode): Promise<number> =>
  (await nodes.voters(names)).members.find((member) => member.name === name)!.id;

/** Stops the node, puts the copy back, starts it once, and has it be a voter again. */
async function rollBack(nodes: LiveCluster, node: LiveNode, load: Load, copy: Copy): Promise<void> {
  await load.more();
  await node.stop();
  putBack(node, copy);
  await load.more();
  const startMs = performance.now();
  await node.start();
  await nodes.replicating(3);
  await nodes.voters(names);
  tell(`${node.name} (${copy.parts.join(', ')}) votes again after ${Math.round(performance.now() - startMs)} ms`);
  await load.more();
}

describe('a node of three whose data directory is put back from an older copy, under load', () => {
  it(
    'is admitted under a new Raft id where it lost what it acknowledged, and nothing acknowledged is lost',
    run('old-copy', async (own) => {
      const nodes = await own.cluster(3, ['--segment-bytes', '64KiB']);
      const load = own.load(nodes);
      const [follower, other] = await nodes.followers();
      // The node runs while it is copied.
      const firstMinute = copyOf(follower, own.file('first-minute'));
      await load.more(1_000);

      let before = await idOf(nodes, follower);
      await rollBack(nodes, follower, load, { path: firstMinute, parts: everything });
      await nodes.admittedAgain(follower, before);

      await follower.stop();
      const stopped = copyOf(follower, own.file('stopped'));
      await follower.start();
      await nodes.replicating(3);
      before = await idOf(nodes, follower);
      await rollBack(nodes, follower, load, { path: stopped, parts: everything });
      await nodes.admittedAgain(follower, before);

      const running = copyOf(other, own.file('running'));
      await rollBack(nodes, other, load, { path: running, parts: ['raft'] });
      await rollBack(nodes, other, load, { path: running, parts: ['logs'] });

      const leader = await nodes.leader();
      const ofLeader = copyOf(leader, own.file('leader'));
      await rollBack(nodes, leader, load, { path: ofLeader, parts: everything });
      // It has acknowledged to the leader of now since.
      before = await idOf(nodes, leader);
      await rollBack(nodes, leader, load, { path: ofLeader, parts: everything });
      await nodes.admittedAgain(leader, before);

      for (const { output } of nodes.nodes) {
        expect(output).not.toMatch(/out of range/);
        expect(hasLogged(output, 'fatal_error')).toBe(false);
      }
      await expectAllKept(nodes, load);
      tell(load.describe());
    }),
    240_000,
  );
});
