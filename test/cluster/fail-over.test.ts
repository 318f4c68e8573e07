import { describe, expect, it } from '@jest/globals';
import { RpcError } from '../../src/client/index.js';
import { eventually, generousMs, tell } from './deadline.js';
import { clusterTests, type Run } from './fixture.js';
import { electionTimeoutMs, type LiveCluster, type LiveNode } from './live-cluster.js';
import { Appender, isRetryable, type Load } from './load.js';
import { expectAllKept } from './verdict.js';

const run = clusterTests();
/** An append without a majority is told so within this. */
const promptly = 5 * electionTimeoutMs;

describe('nodes that are killed under load', () => {
  it(
    'three nodes go on without their leader, which comes back and catches up',
    run('three', async (own) => {
      const nodes = await own.cluster(3);
      const load = own.load(nodes);
      await load.more();
      for (let round = 0; round < 2; round += 1) {
        const leader = await nodes.leader();
        await leader.killNine();
        const gapMs = await load.more();
        expect(await nodes.leader()).not.toBe(leader);
        tell(`leader ${leader.name} killed: 60 more records after ${Math.round(gapMs)} ms`);
        await leader.start();
        await load.more();
      }
      await expectAllKept(nodes, load);
      tell(load.describe());
    }),
    240_000,
  );

  it(
    'five nodes go on without two of them, the leader among these',
    run('five', async (own) => {
      const nodes = await own.cluster(5);
      const load = own.load(nodes);
      await load.more();
      const leader = await nodes.leader();
      const [follower] = await nodes.followers();
      await Promise.all([leader.killNine(), follower.killNine()]);
      tell(`leader and a follower of five killed: 60 more records after ${Math.round(await load.more())} ms`);
      await Promise.all([leader.start(), follower.start()]);
      await load.more();
      await expectAllKept(nodes, load);
      tell(load.describe());
    }),
    240_000,
  );
});

describe('a majority that is gone', () => {
  /** Kills the nodes; appends at those that are left must fail soon, and so must those that were under way. */
  async function expectPromptRefusal(
    own: Run,
    nodes: LiveCluster,
    load: Load,
    gone: readonly LiveNode[],
  ): Promise<void> {
    const tag = `without ${gone.map(({ name }) => name).join(' ')} at`;
    const left = nodes.nodes.filter((node) => !gone.includes(node));
    const under = left.map((node) => new Appender(node.address, own.tls('appender')));
    // Connections are there before the nodes go: channels to one address share theirs, and one to a node that was away
    // fails at once until it has been dialled again.
    await Promise.all(
      under.map(({ address }, place) => {
        let tries = 0;
        return eventually(`an append at ${address}`, async () => {
          const outcome = await load.append(under[place], `before ${++tries} ${tag} ${address}`, generousMs);
          return outcome.kind === 'acknowledged' ? true : undefined;
        });
      }),
    );
    load.pause();
    await Promise.all(gone.map((node) => node.killNine()));
    for (const round of ['first', 'second']) {
      const startMs = performance.now();
      const outcomes = await Promise.all(
        under.map((appender) => load.append(appender, `${round} ${tag} ${appender.address}`, generousMs)),
      );
      const tookMs = performance.now() - startMs;
      tell(`${round} append at ${left.map(({ name }) => name).join(' ')} failed after ${Math.round(tookMs)} ms`);
      for (const outcome of outcomes) {
        if (outcome.kind === 'acknowledged') throw new Error(`acknowledged at ${outcome.baseOffset} by a minority`);
        expect(isRetryable(outcome.error)).toBe(true);
        expect(['UNAVAILABLE', 'ABORTED']).toContain(outcome.error instanceof RpcError && outcome.error.code);
      }
      expect(tookMs).toBeLessThan(promptly);
    }
    const problem = await eventually('the reason why nothing commits', async () => (await left[0].view())?.problem);
    tell(`${left[0].name} says: ${problem}`);
    load.goOn();
    for (const appender of under) appender.close();
  }

  it(
    'is answered promptly and retryably, and nothing acknowledged is lost when it returns',
    run('majority', async (own) => {
      const nodes = await own.cluster(3);
      const load = own.load(nodes);
      await load.more();
      const leader = await nodes.leader();
      const followers = await nodes.followers();
      await expectPromptRefusal(own, nodes, load, followers);
      await Promise.all(followers.map((node) => node.start()));
      tell(`both followers back: 60 more records after ${Math.round(await load.more())} ms`);

      const [other] = (await nodes.followers()).filter((node) => node !== leader);
      const gone = nodes.nodes.filter((node) => node !== other);
      await expectPromptRefusal(own, nodes, load, gone);
      await Promise.all(gone.map((node) => node.start()));
      tell(`the leader and a follower back: 60 more records after ${Math.round(await load.more())} ms`);
      await expectAllKept(nodes, load);
      tell(load.describe());
    }),
    240_000,
  );
});
