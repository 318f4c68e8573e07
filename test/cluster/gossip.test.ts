import { describe, expect, it } from '@jest/globals';
import { endAgents, SerfAgent, withoutSerf } from '../interop/serf-agent.js';
import { testMs, untilStatuses } from '../interop/statuses.js';
import { eventually, tell } from './deadline.js';
import { clusterTests } from './fixture.js';
import { expectAllKept } from './verdict.js';

if (withoutSerf !== undefined) tell(`a cluster in the gossip of Debian's serf is skipped: ${withoutSerf}`);

const run = clusterTests();

(withoutSerf === undefined ? describe : describe.skip)('a cluster of nodes, seen by an agent of serf', () => {
  it(
    'keeps the votes of those that fail, and lets those go that leave',
    run('gossip', async (own) => {
      own.atEnd(endAgents);
      const nodes = await own.cluster(3);
      const load = own.load(nodes);
      const agent = await SerfAgent.start({ name: 'a1', join: nodes.node('n1').gossipAddr });
      const agentSees = (...wanted: string[]): Promise<void> =>
        untilStatuses('the agent', wanted, () => agent.statuses());
      await agentSees('a1 alive', 'n1 alive', 'n2 alive', 'n3 alive');
      const { clusterId } = await nodes.voters(['n1', 'n2', 'n3']);
      for (const { name, address } of nodes.nodes) {
        const tags = { role: 'node', rpc_addr: address, cluster: clusterId };
        await eventually(`${name} to tell its tags`, async () => {
          const seen = (await agent.members()).find((member) => member.name === name);
          return Object.entries(tags).every(([tag, value]) => seen?.tags[tag] === value) ? true : undefined;
        });
      }

      await load.more();
      const killed = await nodes.leader();
      await killed.killNine();
      const others = nodes.nodes.filter((node) => node !== killed).map(({ name }) => name);
      await agentSees('a1 alive', `${killed.name} failed`, ...others.map((name) => `${name} alive`));
      await load.more();
      await nodes.voters(['n1', 'n2', 'n3']);
      const gossip = (await (await nodes.leader()).view())?.gossip ?? [];
      expect(gossip.find(({ name }) => name === killed.name)).toMatchObject({ status: 'failed' });

      await killed.start();
      await agentSees('a1 alive', 'n1 alive', 'n2 alive', 'n3 alive');
      await nodes.replicating(3);

      await killed.stop();
      await killed.start(['--leave-on-terminate']);
      await nodes.replicating(3);
      expect(await killed.stop()).toBe(0);
      await nodes.voters(others);
      await agentSees('a1 alive', `${killed.name} left`, ...others.map((name) => `${name} alive`));
      await load.more();
      await nodes.drop(killed);
      await expectAllKept(nodes, load);
    }),
    testMs,
  );
});
