import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import type { ClusterStatus } from '../../src/client/index.js';
import { hasLogged, loggedLines } from '../logging/logged-lines.js';
import { eventually } from './deadline.js';
import { copyOf } from './directory-copies.js';
import { clusterTests, type Run } from './fixture.js';
import { LiveCluster, type LiveNode } from './live-cluster.js';
import { expectAllKept } from './verdict.js';

const run = clusterTests();
const names = ['n1', 'n2', 'n3'];

const seatsOf = ({ members }: ClusterStatus): unknown => members.map(({ id, name, rpcAddr }) => [id, name, rpcAddr]);

const statesOf = ({ output }: LiveNode): unknown[] =>
  loggedLines(output, 'readiness_changed').map(({ state }) => state);

/** A node on a copy of the data directory of this one, which runs, under that name or another one. */
async function copied(own: Run, node: LiveNode, name: string): Promise<LiveNode> {
  const dataDir = own.file(`copy-of-${node.name}-as-${name}`);
  rmSync(dataDir, { recursive: true, force: true });
  copyOf(node, dataDir);
  rmSync(join(dataDir, 'LOCK'), { force: true });
  return own.nodeAt(own.secured({ ...(await LiveCluster.place('', name)), dataDir }));
}

describe('F3: a copy of the directory of a member that runs', () => {
  it.each([
    ['while all three run', false],
    ['while another member is down', true],
  ])(
    'takes no seat, and both are told: %s',
    async (what, isOneDown) =>
      run(`copied ${what}`, async (own) => {
        const nodes = await own.cluster(3);
        const load = own.load(nodes);
        await load.more();
        const before = await nodes.voters(names);
        for (const node of nodes.nodes) {
          const down = nodes.nodes.find((each) => each !== node)!;
          if (isOneDown) await down.killNine();
          await load.more();

          const renamed = await copied(own, node, 'n4');
          await renamed.start(nodes.joining).catch(() => undefined);
          expect((await renamed.process!.finished).code).toBe(1);
          expect(renamed.output).toContain(`is that of the member ${node.name}, which is alive at ${node.address}`);

          const twin = await copied(own, node, node.name);
          const started = twin.start(nodes.joining).catch(() => undefined);
          await eventually(
            () => `the copy to say that the member runs elsewhere; it said ${twin.output}`,
            () =>
              (hasLogged(twin.output, 'member_running_elsewhere') && statesOf(twin).includes('running-elsewhere')) ||
              undefined,
          );
          expect(twin.output).toContain(`is alive at ${node.address}`);
          await eventually(
            `${node.name} to be told`,
            () => hasLogged(node.output, 'data_directory_copied') || undefined,
          );
          await load.more();
          expect(await twin.stop()).toBe(0);
          await started;
          expect(statesOf(twin)).not.toContain('ready');
          expect(hasLogged(node.output, 'fatal_error')).toBe(false);
          if (isOneDown) await down.start();
          await nodes.replicating(3);
        }
        expect(seatsOf(await nodes.voters(names))).toEqual(seatsOf(before));
        await expectAllKept(nodes, load);
      })(),
    240_000,
  );
});

describe('a member that moves', () => {
  it(
    'is back at once where it was, and soon where it is now',
    run('moves', async (own) => {
      const nodes = await own.cluster(3);
      const load = own.load(nodes);
      await load.more();
      for (const node of nodes.nodes) {
        await node.killNine();
        await node.start();
        expect(hasLogged(node.output, 'member_running_elsewhere')).toBe(false);
        await nodes.replicating(3);
        await node.killNine();
        await node.move();
        await node.start();
        await eventually(`the cluster to know ${node.name} at ${node.address}`, async () => {
          const { members } = await nodes.voters(names);
          return members.some(({ name, rpcAddr }) => name === node.name && rpcAddr === node.address) || undefined;
        });
        await nodes.replicating(3);
        await load.more();
      }
      await expectAllKept(nodes, load);
    }),
    240_000,
  );
});
