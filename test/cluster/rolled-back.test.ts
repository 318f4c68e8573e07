import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import type { LogEvent } from '../../src/application/ports/log-events.js';
import { runGolog } from '../end-to-end/golog-process.js';
import { hasLogged } from '../logging/logged-lines.js';
import { eventually, tell } from './deadline.js';
import { copyOf, everything, putBack, rollBack } from './directory-copies.js';
import { clusterTests, type Run } from './fixture.js';
import type { LiveCluster, LiveNode } from './live-cluster.js';
import { Appender, type Load } from './load.js';
import { expectAllKept } from './verdict.js';

const run = clusterTests();
const names = ['n1', 'n2', 'n3'];
const notesHeaderBytes = 12;

/** Resolves when the node's notes on disk say that the other one had its last entry. */
async function hasNoted(node: LiveNode, other: LiveNode): Promise<void> {
  const { lastIndex, members } = (await other.view())!;
  const { uuid, id } = members.find(({ name }) => name === other.name)!;
  const path = join(node.dataDir, 'raft', 'peer-notes');
  const read = (): number => {
    if (!existsSync(path)) return 0;
    const json = readFileSync(path).subarray(notesHeaderBytes).toString();
    const notes = JSON.parse(json) as Record<string, { durable: { index: number } } | undefined>;
    return notes[`${uuid} ${id}`]?.durable.index ?? 0;
  };
  await eventually(`${node.name} to note entry ${lastIndex} of ${other.name}`, () => read() >= lastIndex || undefined);
}

const logsNow = (node: LiveNode, event: LogEvent): Promise<true> =>
  eventually(`${event} of ${node.name}`, () => hasLogged(node.process?.stderr ?? '', event) || undefined);

const idOf = async (nodes: LiveCluster, { name }: LiveNode): Promise<number> =>
  (await nodes.voters(names)).members.find((member) => member.name === name)!.id;

/** Starts a member of an earlier generation: told of the later one while it waits, it ends, and joins at its next start. */
async function startAnew(node: LiveNode): Promise<void> {
  await node.start().catch(() => undefined);
  await eventually(`${node.name} to join again or to end`, async () => {
    if (!node.isUp) return true;
    return (await node.view())?.settings?.generation === 1 || undefined;
  });
  if (!node.isUp) await node.start();
}

/** Appends fail at each of the nodes. */
async function expectNoAppends(nodes: readonly LiveNode[], load: Load, own: Run): Promise<void> {
  for (const node of nodes) {
    const appender = new Appender(node.address, own.tls('appender'));
    for (let i = 0; i < 3; i += 1)
      expect((await load.append(appender, `${node.name} without a quorum ${i}`, 2_000)).kind).not.toBe('acknowledged');
    appender.close();
  }
}

describe('a member that is rolled back as a snapshot of its disk rolls it back', () => {
  it.each([
    ['a follower', false],
    ['the leader', true],
  ])(
    '%s is admitted under a new Raft id, although its files look as it left them, and nothing is lost',
    async (what, isLeader) =>
      run(`disk-snapshot ${what}`, async (own) => {
        const nodes = await own.cluster(3, ['--segment-bytes', '64KiB']);
        const load = own.load(nodes);
        await load.more();
        const leader = await nodes.leader();
        const node = isLeader ? leader : (await nodes.followers())[0];
        const snapshot = copyOf(node, own.file('snapshot'));
        await load.more(1_000);
        const before = await idOf(nodes, node);
        await node.killNine();
        rollBack(node, snapshot);
        await load.more();
        await node.start();
        await load.more();
        await nodes.admittedAgain(node, before);
        expect(hasLogged(node.output, 'acknowledged_entries_lost')).toBe(true);
        expect(hasLogged(node.output, 'data_directory_changed', 'fatal_error')).toBe(false);
        await expectAllKept(nodes, load);
      })(),
    240_000,
  );
});

describe('T8: a member that lost what only the leader, which is down, has as well', () => {
  it(
    'does not elect the third, which never had it; the leader comes back, and nothing is lost',
    run('lone-witness', async (own) => {
      const nodes = await own.cluster(3);
      const load = own.load(nodes);
      await load.more();
      const leader = await nodes.leader();
      const [witness, third] = await nodes.followers();
      const copy = copyOf(witness, own.file('copy'));
      await third.killNine();
      await load.more(300);
      load.pause();
      await nodes.converged([leader, witness]);
      await hasNoted(leader, witness);
      await Promise.all([leader.killNine(), witness.killNine()]);
      putBack(witness, { path: copy, parts: everything });

      await Promise.all([witness.start(), third.start()]);
      const problem = `no answer from ${leader.name} for`;
      await eventually(problem, async () => (await witness.view())?.problem?.includes(problem) || undefined);
      // A bare majority is enough for a node without a doubt about its disk, and it is one with the witness.
      await logsNow(third, 'vouched');
      await expectNoAppends([witness, third], load, own);
      expect(hasLogged(witness.process!.stderr, 'vouched')).toBe(false);
      expect(hasLogged(third.process!.stderr + witness.process!.stderr, 'leader_elected')).toBe(false);

      await leader.start();
      load.goOn();
      await load.more();
      await nodes.admittedAgain(witness, 3);
      await nodes.replicating(3);
      const isWell = async (): Promise<boolean> => (await witness.view())?.problem === undefined;
      await eventually('the witness to be well', async () => (await isWell()) || undefined);
      await expectAllKept(nodes, load);
      tell(load.describe());
    }),
    240_000,
  );
});

describe('an amnesiac member', () => {
  it(
    'stays one if it is killed again and again before it has caught up, and is admitted once',
    run('amnesiac', async (own) => {
      const nodes = await own.cluster(3, ['--segment-bytes', '64KiB']);
      const load = own.load(nodes);
      const [node] = await nodes.followers();
      const copy = copyOf(node, own.file('copy'));
      await load.more(3_000);
      await node.killNine();
      putBack(node, { path: copy, parts: everything });
      for (const event of ['acknowledged_entries_lost', 'cluster_rejoined', 'serving', 'serving'] as const) {
        const started = node.start();
        await Promise.race([logsNow(node, event), started.then(() => logsNow(node, event))]);
        await node.killNine();
        await started.catch(() => undefined);
        await load.more();
      }
      await node.start();
      await nodes.admittedAgain(node, 3);
      expect(await idOf(nodes, node)).toBe(4);
      await expectAllKept(nodes, load);
    }),
    240_000,
  );
});

describe('three members that were each put back from another time', () => {
  it(
    'have no leader and name the one that is ahead; it recovers the cluster with all that was acknowledged',
    run('different-times', async (own) => {
      const nodes = await own.cluster(3);
      const [n1, n2, n3] = nodes.nodes;
      const load = own.load(nodes);
      const copies: [LiveNode, string][] = [];
      for (const node of [n1, n2]) {
        await load.more(200);
        copies.push([node, copyOf(node, own.file(`copy-${node.name}`))]);
      }
      await load.more(200);
      await load.stop();
      await nodes.converged();
      for (const node of [n1, n2]) await hasNoted(n3, node);
      await Promise.all(nodes.nodes.map((node) => node.killNine()));
      for (const [node, path] of copies) putBack(node, { path, parts: everything });
      await Promise.all(nodes.nodes.map((node) => node.start()));
      for (const node of [n1, n2])
        await eventually(`the advice of ${node.name}`, async () => {
          const problem = (await node.view())?.problem ?? '';
          return problem.includes('n3 has the log up to entry') && problem.includes('golog recover') ? true : undefined;
        });
      await expectNoAppends(nodes.nodes, load, own);
      for (const node of nodes.nodes) expect(hasLogged(node.process!.stderr, 'leader_elected')).toBe(false);

      await Promise.all(nodes.nodes.map((node) => node.killNine()));
      expect((await runGolog(['recover', n3.dataDir, '--yes'])).code).toBe(0);
      await n3.start();
      expect((await n3.info())?.highWatermark).toBe(load.acknowledgedEnd);
      for (const node of [n1, n2]) await startAnew(node);
      await nodes.voters(names);
      await expectAllKept(nodes, load);
    }),
    240_000,
  );
});
