import { describe, expect, it } from '@jest/globals';
import { tell } from './deadline.js';
import { clusterTests } from './fixture.js';
import { expectAllKept } from './verdict.js';

const run = clusterTests();

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
    120_000,
  );
});
