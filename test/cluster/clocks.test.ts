import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { FakeClock, withoutFakeClock } from '../end-to-end/fake-clock.js';
import { hasLogged } from '../logging/logged-lines.js';
import { eventually, tell } from './deadline.js';
import { clusterTests, type Run } from './fixture.js';
import { LiveCluster, type LiveNode } from './live-cluster.js';
import { isSecured } from './security.js';
import { expectAllKept } from './verdict.js';

const run = clusterTests();
const names = ['n1', 'n2', 'n3'];
const hourSeconds = 3_600;
/** The certificates of the tests are valid from five minutes before they were made. */
const backSeconds = isSecured ? 240 : hourSeconds;
/** Retention looks every 10 s. */
const forwardMs = 14_000;

if (withoutFakeClock !== undefined) tell(`clocks that jump are skipped: ${withoutFakeClock}`);

/** A cluster of three, and the clock of each node. */
async function clusterWithClocks(own: Run, args: readonly string[] = []) {
  const clocks = new Map<string, FakeClock>();
  const folder = own.folder();
  const places = (await LiveCluster.places(folder, names.length, args)).map((place) => {
    const clock = new FakeClock(own.file(`${place.name}-clock`));
    clocks.set(place.name, clock);
    return own.secured({ ...place, through: clock.through });
  });
  const nodes = await own.clusterAt(places);
  own.atEnd(() => nodes.nodes.forEach(({ pid }) => FakeClock.forget(pid)));
  const setAhead = ({ name }: LiveNode, seconds: number): void => clocks.get(name)?.setAhead(seconds);
  return { nodes, setAhead };
}

/** The append times at the node, in the order of the log. */
async function appendTimes(node: LiveNode, until: number): Promise<number[]> {
  const times: number[] = [];
  for (let offset = 0; offset < until;) {
    const { batches } = await node.log.read({ from: { offset } });
    for (const batch of batches) {
      times.push(batch.appendTimeMs);
      offset = batch.baseOffset + batch.recordCount;
    }
  }
  return times;
}

(withoutFakeClock === undefined ? describe : describe.skip)('a leader whose clock is wrong', () => {
  it(
    'sees that a member died after its clock went back, and admits what replaces it at once',
    run('clock-back', async (own) => {
      const { nodes, setAhead } = await clusterWithClocks(own);
      const load = own.load(nodes);
      await load.more();
      const leader = await nodes.leader();
      const [dead] = await nodes.followers();
      setAhead(leader, -backSeconds);
      await dead.killNine();
      FakeClock.forget(dead.pid);
      const diedAtMs = performance.now();
      await load.more();
      await eventually('silence of a dead member', async () => {
        const heardMsAgo = (await leader.view())?.members.find(({ name }) => name === dead.name)?.heardMsAgo;
        return heardMsAgo !== undefined && heardMsAgo > 1_000 ? true : undefined;
      });
      tell(`heard 1 s ago ${Math.round(performance.now() - diedAtMs)} ms after its death`);
      dead.wipe();
      await dead.start(nodes.joining);
      await nodes.voters(names);
      await load.more();
      await load.end();
      const times = await appendTimes(leader, load.acknowledgedEnd);
      expect(times).toEqual([...times].sort((a, b) => a - b));
      expect(times[times.length - 1]).toBeGreaterThan(Date.now() - 60_000);
      await expectAllKept(nodes, load);
    }),
    240_000,
  );

  it(
    'removes no fresh record while its clock is an hour ahead, and gives no times that are',
    run('clock-forward', async (own) => {
      const { nodes, setAhead } = await clusterWithClocks(own, ['--retention-age', '20m', '--segment-bytes', '4KiB']);
      const load = own.load(nodes);
      await load.more();
      const leader = await nodes.leader();
      setAhead(leader, hourSeconds);
      const endMs = performance.now() + forwardMs;
      while (performance.now() < endMs) {
        await load.more();
        await delay(100);
      }
      expect(hasLogged(leader.output, 'wall_clock_differs')).toBe(true);
      setAhead(leader, 0);
      await load.more();
      await load.end();
      for (const node of nodes.nodes) expect((await node.info())?.logStartOffset).toBe(0);
      const times = await appendTimes(leader, load.acknowledgedEnd);
      expect(times).toEqual([...times].sort((a, b) => a - b));
      expect(times[times.length - 1]).toBeLessThan(Date.now() + forwardMs);
      await expectAllKept(nodes, load);
    }),
    240_000,
  );
});
