import { describe, expect, it } from '@jest/globals';
import { tell } from './deadline.js';
import { clusterTests } from './fixture.js';
import { expectAllKept } from './verdict.js';

const run = clusterTests();
/** For four producers over three restarts. Without a leadership transfer there would be more. */
const fewErrors = 100;

describe('a rolling restart under load', () => {
  it(
    'loses nothing, and hands leadership over rather than letting it be missed',
    run('rolling', async (own) => {
      const nodes = await own.cluster(3);
      const load = own.load(nodes);
      await load.more();
      for (const node of nodes.nodes) {
        const led = (await nodes.leader()) === node;
        const errorsBefore = load.errorCount;
        expect(await node.stop()).toBe(0);
        await load.more(30);
        await node.start();
        await nodes.replicating(3);
        await load.more(30);
        tell(`${node.name}${led ? ', the leader,' : ''} restarted: ${load.errorCount - errorsBefore} errors`);
      }
      tell(load.describe());
      expect(load.errorCount).toBeLessThan(fewErrors);
      await expectAllKept(nodes, load);
    }),
    240_000,
  );
});
