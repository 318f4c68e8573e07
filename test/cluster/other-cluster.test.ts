import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { hasLogged } from '../logging/logged-lines.js';
import { eventually, tell } from './deadline.js';
import { clusterTests } from './fixture.js';
import { electionTimeoutMs, LiveCluster } from './live-cluster.js';
import { Appender } from './load.js';
import { readyz } from './readiness.js';
import { expectAllKept } from './verdict.js';

const run = clusterTests();

describe('A5: a node of another cluster, with the name and the address of a member that is down', () => {
  it(
    'is followed by no member and no replica, and no append is forwarded to it',
    run('other-cluster', async (own) => {
      own.refuses();
      const nodes = await own.cluster(3);
      const replica = await own.node('r1', ['--replica']);
      await replica.start(nodes.joining);
      const leader = await nodes.leader();
      const [second, last] = await nodes.followers();
      const load = own.load({ addresses: [second.address, last.address] });
      await load.more();

      // It leads a cluster of its own where the leader was.
      const others = await own.beside('other');
      await leader.killNine();
      const { name, address, gossipAddr } = leader;
      const place = await LiveCluster.place(others.folder(), name);
      const other = others.nodeAt(others.secured({ ...place, address, gossipAddr }));
      await other.start(['--bootstrap']);
      const appender = new Appender(address, others.tls('appender'));
      expect(await appender.append(['of the other cluster'], 10_000)).toMatchObject({ baseOffset: 0 });
      appender.close();
      await load.more(300);

      // Nobody else is there to follow.
      load.pause();
      await second.killNine();
      await eventually('no leader', async () => {
        const view = await last.view();
        return (view !== undefined && view.leader === undefined && view.problem !== undefined) || undefined;
      });
      const alone = new Appender(last.address, own.tls('appender'));
      for (let i = 0; i < 3; i += 1)
        expect((await load.append(alone, `without a quorum ${i}`, 2_000)).kind).not.toBe('acknowledged');
      alone.close();
      await delay(5 * electionTimeoutMs);
      expect((await last.view())?.leader).toBeUndefined();
      tell(`${last.name}: ${(await last.view())?.problem}`);
      const { highWatermark } = (await replica.info())!;
      await last.killNine();
      await eventually('the replica to have no source', async () =>
        (await readyz(replica, own.tls('consumer'))) === 503 ? true : undefined,
      );
      tell(`r1: ${(await replica.view())?.problem}`);
      expect((await replica.info())?.highWatermark).toBe(highWatermark);
      await replica.stop();
      await replica.start();
      await delay(5 * electionTimeoutMs);
      expect(await readyz(replica, own.tls('consumer'))).toBe(503);
      expect((await replica.info())?.highWatermark).toBe(highWatermark);

      const { members } = (await other.view())!;
      expect(members.map((member) => member.name)).toEqual([name]);
      expect((await other.info())?.highWatermark).toBe(1);
      await other.stop();
      await Promise.all([leader, second, last].map((node) => node.start()));
      load.goOn();
      await load.more();
      await nodes.replicating(3);
      nodes.nodes.push(replica);
      for (const { output } of nodes.nodes) expect(hasLogged(output, 'fatal_error')).toBe(false);
      await expectAllKept(nodes, load);
    }),
    240_000,
  );
});
