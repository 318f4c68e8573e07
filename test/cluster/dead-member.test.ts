import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { clusterTests } from './fixture.js';
import { expectAllKept } from './verdict.js';

const run = clusterTests();
const timeoutMs = 3_000;
const names = ['n1', 'n2', 'n3'];

describe('a member that stays away, under load', () => {
  it(
    'is taken out after the timeout while the others are well, not while they are not, and comes back as a new one',
    run('dead-member', async (own) => {
      const nodes = await own.cluster(3, ['--dead-member-timeout', `${timeoutMs}ms`]);
      const load = own.load(nodes);
      await load.more();
      const [dead, missed] = await nodes.followers();
      const before = await nodes.voters(names);
      const killedAtMs = performance.now();
      await dead.killNine();
      const others = names.filter((name) => name !== dead.name);
      await load.more();
      await nodes.voters(others);
      expect(performance.now() - killedAtMs).toBeGreaterThan(timeoutMs);

      // One of two is no majority.
      await missed.killNine();
      await delay(2 * timeoutMs);
      await missed.start();
      await load.more();
      await nodes.voters(others);

      await dead.start();
      const after = await nodes.voters(names);
      const idOf = (status: typeof before, { name }: { name: string }) =>
        status.members.find((member) => member.name === name)?.id;
      expect(idOf(after, missed)).toBe(idOf(before, missed));
      expect(idOf(after, dead)).toBe(4);
      await expectAllKept(nodes, load);
    }),
    240_000,
  );
});
