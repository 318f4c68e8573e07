import { describe, expect, it } from '@jest/globals';
import { hasLogged } from '../logging/logged-lines.js';
import { eventually, generousMs, tell } from './deadline.js';
import { copyOf, readCommit, rollBack } from './directory-copies.js';
import { clusterTests } from './fixture.js';
import { expectKept } from './verdict.js';

const run = clusterTests();
const names = ['n1', 'n2', 'n3'];
/** A member without a doubt about its disk waits ten seconds for more than a bare majority. */
const vouchedMs = 10_000 + generousMs;

describe('T8: entries that only a leader has, after the other member that had them was rolled back', () => {
  it.each(['killNine', 'stop'] as const)(
    'stop that leader, which names the index and both terms, while the others go on (%s)',
    async (end) =>
      run(`two-histories ${end}`, async (own) => {
        const nodes = await own.cluster(3);
        const load = own.load(nodes);
        await load.more();
        const leader = await nodes.leader();
        const [witness, third] = await nodes.followers();
        const snapshot = copyOf(witness, own.file('snapshot'));
        const { commitIndex } = (await leader.view())!;
        await third.killNine();
        await load.more(300);
        await load.end();
        await nodes.converged([leader, witness]);
        // A process that is killed knows of its commits what it has noted.
        await eventually('the leader to note what is committed', () => readCommit(leader) > commitIndex || undefined);
        await witness.killNine();
        await leader[end]();

        // Its files look as it left them, and those who could contradict it are down.
        rollBack(witness, snapshot);
        await Promise.all([witness.start(), third.start()]);
        const others = [witness, third];
        await eventually(
          'a leader of the others',
          () => others.some(({ process }) => hasLogged(process!.stderr, 'leader_elected')) || undefined,
          vouchedMs,
        );
        const after = own.load({ addresses: others.map(({ address }) => address) });
        await after.more(600);

        await leader.start().catch(() => undefined);
        const { code, stderr } = await leader.process!.finished;
        expect(code).not.toBe(0);
        expect(stderr).toMatch(/is committed in term \d+ on this node and in term \d+ in its cluster/);
        tell(/entry \d+ is committed[^"]*/.exec(stderr)?.[0] ?? '');
        await eventually('the problem of the others', async () => {
          const { problem = '' } = (await (await nodes.leader(leader)).view()) ?? {};
          return problem.startsWith(`${leader.name} has another history: entry `) || undefined;
        });
        await after.more();

        // What a restart does not mend, an empty disk does.
        await leader.start().catch(() => undefined);
        expect((await leader.process!.finished).code).not.toBe(0);
        leader.wipe();
        await leader.start(nodes.joining);
        await nodes.voters(names);
        await nodes.replicating(3);
        await eventually(
          'no problem any more',
          async () => (await (await nodes.leader()).view())?.problem === undefined || undefined,
        );
        await after.stop();
        const infos = await Promise.all(nodes.nodes.map(async (node) => (await node.info())!));
        const highWatermark = Math.max(...infos.map((info) => info.highWatermark));
        expect(highWatermark).toBeGreaterThanOrEqual(after.acknowledgedEnd);
        const start = Math.min(...after.acknowledged.flatMap((each) => each.slice(0, 1).map(({ offset }) => offset)));
        await expectKept(nodes, after, start);
      })(),
    240_000,
  );
});
