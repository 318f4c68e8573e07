import { describe, expect, it } from '@jest/globals';
import { runGolog } from '../end-to-end/golog-process.js';
import { tell } from './deadline.js';
import { clusterTests } from './fixture.js';
import { expectAllKept } from './verdict.js';

const run = clusterTests();

describe('a membership that changes under load', () => {
  it(
    'adds, promotes, removes and replaces nodes, and loses nothing',
    run('membership', async (own) => {
      const nodes = await own.cluster(3);
      const load = own.load(nodes);
      await load.more();
      const timed = async (what: string, task: () => Promise<void>): Promise<void> => {
        const [startMs, errors] = [performance.now(), load.errorCount];
        load.longestGapMs = 0;
        await task();
        await load.more();
        const figures = [performance.now() - startMs, load.longestGapMs].map(Math.round);
        tell(`${what}: ${figures[0]} ms, ${load.errorCount - errors} errors, longest gap ${figures[1]} ms`);
      };
      const member = async (...args: string[]): Promise<void> => {
        const addr = nodes.addresses.join(',');
        const { code, stderr } = await runGolog(['member', ...args, '--addr', addr, ...own.as('operator')]);
        expect(code).toBe(0);
        // A member may be added before its node is started.
        expect(stderr).toMatch(args[0] === 'add' ? /^(golog member add: nothing answers at .*\n)?$/ : /^$/);
      };

      const fourth = await own.node('n4');
      await timed('n4 joins and is promoted by itself', async () => {
        await fourth.start(nodes.joining);
        nodes.nodes.push(fourth);
        await nodes.voters(['n1', 'n2', 'n3', 'n4']);
      });

      const fifth = await own.node('n5');
      await timed('n5 is registered, then started', async () => {
        await member('add', 'n5', '--rpc-addr', fifth.address);
        await fifth.start(nodes.joining);
        nodes.nodes.push(fifth);
        await nodes.voters(['n1', 'n2', 'n3', 'n4', 'n5']);
      });

      const [follower] = await nodes.followers();
      const names = nodes.nodes.map(({ name }) => name);
      await timed(
        `follower ${follower.name} is removed while it is away, and comes back with what it has`,
        async () => {
          await follower.killNine();
          await member('remove', follower.name);
          await nodes.voters(names.filter((name) => name !== follower.name));
          await load.more();
          await follower.start();
          const { members } = await nodes.voters(names);
          expect(members.at(-1)).toMatchObject({ name: follower.name, id: 6 });
        },
      );

      await timed(`follower ${follower.name} is removed`, async () => {
        await member('remove', follower.name);
        await nodes.drop(follower);
      });

      const leader = await nodes.leader();
      await timed(`leader ${leader.name} is removed`, async () => {
        await member('remove', leader.name);
        await nodes.drop(leader);
      });

      const [wiped] = await nodes.followers();
      await timed(`${wiped.name} comes back with an empty disk`, async () => {
        const before = await nodes.voters(nodes.nodes.map(({ name }) => name));
        await wiped.killNine();
        wiped.wipe();
        // It waits until the cluster has not heard from the one before for ten seconds. And the node that was to begin
        // the cluster keeps its flags: it must not begin another.
        await wiped.start(['--bootstrap', ...nodes.joining]);
        const after = await nodes.voters(nodes.nodes.map(({ name }) => name));
        const idOf = ({ members }: typeof before): number => members.find(({ name }) => name === wiped.name)!.id;
        expect(idOf(after)).toBeGreaterThan(idOf(before));
      });

      await expectAllKept(nodes, load);
      tell(load.describe());
    }),
    240_000,
  );
});
