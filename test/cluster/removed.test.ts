import { describe, expect, it } from '@jest/globals';
import type { ClientTls } from '../../src/client/index.js';
import { runGolog } from '../end-to-end/golog-process.js';
import { hasLogged, loggedLines } from '../logging/logged-lines.js';
import { eventually } from './deadline.js';
import { clusterTests } from './fixture.js';
import type { LiveNode } from './live-cluster.js';
import { readyz } from './readiness.js';

const run = clusterTests();

/** The leader counts a voter before that voter has heard that it is one. */
async function ready(node: LiveNode, tls: ClientTls | undefined): Promise<void> {
  await eventually('the node to be ready', async () => (await readyz(node, tls)) === 200 || undefined);
}

/** Tails at the node, from the end, until the tail ends; resolves with its error. */
async function tailed(node: LiveNode): Promise<Error> {
  const { highWatermark } = await node.log.info();
  try {
    for await (const _ of node.log.tail({ from: { offset: highWatermark } })) continue;
  } catch (error) {
    return error as Error;
  }
  throw new Error('the tail ended without a reason');
}

describe('a member that is removed while it runs', () => {
  it(
    'stops to serve and stays out until it is restarted, if an operator removed it',
    run('by-operator', async (own) => {
      const nodes = await own.cluster(3);
      const [follower, other] = await nodes.followers();
      const load = own.load(nodes);
      await load.more();
      await load.end();
      const tail = tailed(follower);
      const addr = nodes.nodes.flatMap(({ address }) => ['--addr', address]);
      const removed = await runGolog(['member', 'remove', follower.name, ...addr, ...own.as('operator')]);
      expect(removed).toMatchObject({ code: 0 });
      const problem = 'this node was removed from the cluster on request';
      expect((await tail).message).toContain(problem);
      await expect(follower.log.read({ from: { offset: 0 } })).rejects.toThrow(problem);
      expect(await readyz(follower, own.tls('consumer'))).toBe(503);
      expect(await readyz(other, own.tls('consumer'))).toBe(200);
      expect((await follower.view())?.problem).toContain(problem);
      expect(loggedLines(follower.output, 'removed_from_cluster')).toMatchObject([{ removal: 'on request' }]);
      await nodes.voters(nodes.nodes.filter((node) => node !== follower).map(({ name }) => name));

      expect(await follower.stop()).toBe(0);
      await follower.start();
      await nodes.voters(nodes.nodes.map(({ name }) => name));
      await ready(follower, own.tls('consumer'));
    }),
    240_000,
  );

  it(
    'joins again at once, in the same process, if it was removed as dead',
    run('as-dead', async (own) => {
      const nodes = await own.cluster(3, ['--dead-member-timeout', '2s']);
      const [follower] = await nodes.followers();
      const load = own.load(nodes);
      await load.more();
      const { pid } = follower;
      follower.pause();
      const others = nodes.nodes.filter((node) => node !== follower).map(({ name }) => name);
      await nodes.voters(others);
      await load.more();
      follower.resume();
      const { members } = await nodes.voters(nodes.nodes.map(({ name }) => name));
      expect(members.at(-1)).toMatchObject({ name: follower.name, id: 4 });
      await load.end();
      await nodes.converged();
      expect(follower.pid).toBe(pid);
      expect(loggedLines(follower.output, 'removed_from_cluster')).toMatchObject([{ removal: 'as dead' }]);
      expect(hasLogged(follower.output, 'cluster_rejoined')).toBe(true);
      await ready(follower, own.tls('consumer'));
    }),
    240_000,
  );
});
