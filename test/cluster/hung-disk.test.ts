import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { Consistency } from '../../src/gen/golog/v1/log_service_pb.js';
import { loggedLines } from '../logging/logged-lines.js';
import { has } from '../torture/commands.js';
import { compileFaultySystem, FaultySystem, hangsMs } from '../torture/faulty-system.js';
import { eventually, generousMs, tell } from './deadline.js';
import { clusterTests, type Run } from './fixture.js';
import { LiveCluster, type LiveNode } from './live-cluster.js';
import { Appender, type Load } from './load.js';
import { Reader } from './reader.js';
import { expectAllKept } from './verdict.js';

const run = clusterTests();
/** Needs a compiler for the library that holds back syncs. */
const hasCompiler = has('gcc');
const withCompiler = hasCompiler ? it : it.skip;
if (!hasCompiler) tell('skipped: no C compiler (gcc) for the library that makes a disk hang');

/** As by default, whatever other tests of clusters run with. */
const defaults = ['--tick-interval', '100ms'];
const electionTimeoutMs = 1_000;

const hang = (disk: FaultySystem): void => disk.set('syncDelayMs', hangsMs);
const resume = (disk: FaultySystem): void => disk.set('syncDelayMs', 0);

/** A cluster of three, each node on a disk of its own that can hang. */
async function clusterOnDisks(own: Run): Promise<{ nodes: LiveCluster; disks: Map<LiveNode, FaultySystem> }> {
  const folder = own.folder();
  const library = (await compileFaultySystem(folder))!;
  const places = await LiveCluster.places(folder, 3, defaults);
  const disks = places.map(({ name }) => new FaultySystem(library, own.file(`${name}-faults`)));
  own.atEnd(() =>
    disks.forEach((disk) => {
      resume(disk);
      disk.close();
    }),
  );
  const nodes = await own.clusterAt(places.map((place, i) => own.secured({ ...place, through: disks[i].through })));
  return { nodes, disks: new Map(nodes.nodes.map((node, i) => [node, disks[i]])) };
}

/** Appends until that is acknowledged, at one node after the other. Resolves with how long it took, and who had it. */
async function appended(
  load: Load,
  appenders: readonly Appender[],
  value: string,
): Promise<{ tookMs: number; syncedOn: readonly string[] }> {
  const startMs = performance.now();
  for (let attempt = 0; ; attempt += 1) {
    const appender = appenders[attempt % appenders.length];
    const outcome = await load.append(appender, `${value}, attempt ${attempt}`, generousMs);
    if (outcome.kind === 'acknowledged') return { tookMs: performance.now() - startMs, syncedOn: outcome.syncedOn };
    if (performance.now() - startMs > generousMs) throw outcome.error;
    await delay(10);
  }
}

function appendersAt(own: Run, nodes: readonly LiveNode[]): Appender[] {
  const appenders = nodes.map(({ address }) => new Appender(address, own.tls('appender')));
  own.atEnd(() => appenders.forEach((appender) => appender.close()));
  return appenders;
}

const medianOf = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1];

const inWords = (values: readonly number[]): string =>
  `${Math.round(medianOf(values))} ms (median), ${Math.round(Math.max(...values))} ms (longest)`;

const stateLines = ({ output }: LiveNode, state: string): unknown[] =>
  loggedLines(output, 'readiness_changed').filter((line) => line.state === state);

describe('a disk that hangs under load', () => {
  withCompiler(
    'of the leader delays no writes: 20 times, within 2 s in the middle and ten election timeouts at most',
    run('twenty', async (own) => {
      const { nodes, disks } = await clusterOnDisks(own);
      const load = own.load(nodes);
      await load.more();
      const [appendMs, moreMs]: [number[], number[]] = [[], []];
      for (let round = 0; round < 20; round += 1) {
        const leader = await nodes.leader();
        const others = nodes.nodes.filter((node) => node !== leader);
        const appenders = appendersAt(own, [leader, ...others]);
        await appended(load, appenders, `before ${round}`);
        const disk = disks.get(leader)!;
        hang(disk);
        // A sync in flight may have begun before.
        await appended(load, appenders, `first ${round}`);
        const { tookMs, syncedOn } = await appended(load, appenders, `hung ${round}`);
        expect(syncedOn).not.toContain(leader.name);
        appendMs.push(tookMs);
        moreMs.push(await load.more());
        resume(disk);
        await load.more();
      }
      tell(
        `the leader's disk hung 20 times: an append took ${inWords(appendMs)}, 60 more records ${inWords(moreMs)}; ` +
          `longest gap of the load ${Math.round(load.longestGapMs)} ms`,
      );
      expect(medianOf(appendMs)).toBeLessThan(2_000);
      expect(Math.max(...appendMs, ...moreMs)).toBeLessThan(10 * electionTimeoutMs);
      expect(load.longestGapMs).toBeLessThan(10 * electionTimeoutMs);
      await expectAllKept(nodes, load);
      tell(load.describe());
    }),
    300_000,
  );

  withCompiler(
    'for ever has the leader say so, give leadership away, and end on request; nothing acknowledged is lost',
    run('for-ever', async (own) => {
      const { nodes, disks } = await clusterOnDisks(own);
      const load = own.load(nodes);
      await load.more();
      const leader = await nodes.leader();
      const linearizable = new Reader(leader.address, load, Consistency.LINEARIZABLE, own.tls('consumer'));
      own.atEnd(() => linearizable.close());
      await linearizable.read();
      hang(disks.get(leader)!);
      const hungAtMs = performance.now();
      await Promise.all([linearizable.read(), linearizable.read()]);
      const next = await nodes.leader(leader);
      tell(`${next.name} led ${Math.round(performance.now() - hungAtMs)} ms after the disk of ${leader.name} hung`);
      await load.more();
      const problem = await eventually('the problem', async () => {
        const found = (await leader.view())?.problem;
        return found?.startsWith(`the disk of ${leader.name} hangs`) === true ? found : undefined;
      });
      tell(`${leader.name} says: ${problem}`);
      await eventually('a log line', () => stateLines(leader, 'disk-stalled').at(0));
      expect(loggedLines(leader.output, 'leader_disk_stalled')).toHaveLength(1);
      await linearizable.read();
      expect(linearizable.stale).toEqual([]);

      const stoppedAtMs = performance.now();
      leader.process!.kill('SIGTERM');
      const [code, signal] = (await once(leader.process!.child, 'exit')) as [number | null, string | null];
      const stopMs = performance.now() - stoppedAtMs;
      tell(`${leader.name} ended ${Math.round(stopMs)} ms after SIGTERM, by ${signal}`);
      expect([code, signal]).toEqual([null, 'SIGKILL']);
      expect(loggedLines(leader.output, 'stopped_without_disk')).toHaveLength(1);
      expect(stopMs).toBeLessThan(20_000);
      resume(disks.get(leader)!);
      await leader.start();
      await load.more();
      await expectAllKept(nodes, load);
      tell(load.describe());
    }),
    240_000,
  );

  withCompiler(
    'of a follower, or for two seconds only, delays nothing either',
    run('follower', async (own) => {
      const { nodes, disks } = await clusterOnDisks(own);
      const load = own.load(nodes);
      await load.more();
      const [follower] = await nodes.followers();
      hang(disks.get(follower)!);
      tell(`the disk of ${follower.name} hangs: 60 more records after ${Math.round(await load.more())} ms`);
      await eventually('a log line', () => stateLines(follower, 'disk-stalled').at(0));
      resume(disks.get(follower)!);
      await eventually('its end', () => loggedLines(follower.output, 'disk_recovered').at(0));
      const leader = await nodes.leader();
      hang(disks.get(leader)!);
      await delay(2_000);
      resume(disks.get(leader)!);
      await load.more();
      expect(load.longestGapMs).toBeLessThan(10 * electionTimeoutMs);
      await expectAllKept(nodes, load);
      tell(load.describe());
    }),
    240_000,
  );
});
