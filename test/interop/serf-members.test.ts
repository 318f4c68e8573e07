import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { tell } from '../cluster/deadline.js';
import { gossipSecurity } from '../cluster/security.js';
import { GossipNode, closeNodes } from './gossip-node.js';
import { SerfAgent, endAgents, withoutSerf } from './serf-agent.js';
import { inTime, testMs, untilStatuses } from './statuses.js';

if (withoutSerf !== undefined) tell(`gossip with Debian's serf is skipped: ${withoutSerf}`);

jest.setTimeout(testMs);

(withoutSerf === undefined ? describe : describe.skip)('three nodes and two agents of serf', () => {
  let agents: SerfAgent[];
  let nodes: GossipNode[];

  beforeAll(async () => {
    agents = [
      await SerfAgent.start({ name: 'a1', tags: { role: 'web', dc: 'x' }, ...gossipSecurity }),
      await SerfAgent.start({ name: 'a2', ...gossipSecurity }),
    ];
    nodes = [
      await GossipNode.start('g1', {
        tags: new Map([
          ['role', 'log'],
          ['rpc', '127.0.0.1:1'],
        ]),
        ...gossipSecurity,
      }),
      await GossipNode.start('g2', gossipSecurity),
      await GossipNode.start('g3', gossipSecurity),
    ];
  });

  afterAll(async () => {
    await closeNodes();
    await endAgents();
  });

  const everybodySees = async (...wanted: readonly string[]): Promise<void> => {
    for (const agent of agents) await untilStatuses('an agent', wanted, () => agent.statuses());
    for (const node of nodes) await untilStatuses(node.name, wanted, () => node.statuses());
  };

  it('join both ways, and all see all, with tags', async () => {
    const [a1, a2] = agents;
    const [g1, g2, g3] = nodes;
    expect(await g1?.join(a1?.addr ?? '')).toBe(1);
    expect(await a2?.run('join', g2?.addr ?? '')).toContain('Successfully joined cluster by contacting 1 nodes');
    expect(await g3?.join(g2?.addr ?? '', `localhost:${g1?.addr.split(':')[1]}`)).toBe(2);
    await everybodySees('a1 alive', 'a2 alive', 'g1 alive', 'g2 alive', 'g3 alive');
    const seen = (await a2?.members())?.find(({ name }) => name === 'g1');
    expect(seen).toMatchObject({ addr: g1?.addr, tags: { role: 'log', rpc: '127.0.0.1:1' } });
    expect(g3?.gossip.members().find(({ name }) => name === 'a1')).toEqual({
      name: 'a1',
      addr: a1?.addr,
      tags: new Map([
        ['dc', 'x'],
        ['role', 'web'],
      ]),
      status: 'alive',
    });
  });

  it('new tags are known everywhere', async () => {
    const [a1, a2] = agents;
    await a1?.run('tags', '-set', 'dc=y');
    nodes[0]?.gossip.setTags(new Map([['role', 'replica']]));
    await inTime('the tags of an agent', () =>
      nodes.every(({ gossip }) => gossip.members()[0]?.tags.get('dc') === 'y') ? true : undefined,
    );
    await inTime('the tags of a node', async () => {
      const tags = (await a2?.members())?.find(({ name }) => name === 'g1')?.tags;
      return tags?.['role'] === 'replica' && !('rpc' in tags) ? true : undefined;
    });
  });

  it('user events pass both ways', async () => {
    nodes[0]?.gossip.sendUserEvent('deploy', Buffer.from('1'));
    await agents[1]?.run('event', 'restart', '2');
    await inTime('an event at the agents', () =>
      agents.every(({ output }) => output.includes('user-event: deploy')) ? true : undefined,
    );
    await inTime('events at the nodes', () =>
      nodes.every(({ events }) => events.includes('deploy 1') && events.includes('restart 2')) ? true : undefined,
    );
  });

  // Gossip is a matter of chance: now and then somebody hears nothing of a query, among agents, too.
  it('queries pass both ways', async () => {
    const all = 'a1,a2,g1,g2,g3';
    await inTime('a query of an agent', async () => {
      const text = await agents[0]?.run('query', '-format=json', '-timeout=1s', '-relay-factor=2', 'color', 'of sky');
      const { Acks, Responses } = JSON.parse(text ?? '') as { Acks: string[]; Responses: Record<string, string> };
      if (Acks.sort().join() !== all || Object.keys(Responses).length < 3) return undefined;
      expect(Responses).toEqual({
        g1: 'g1 on color of sky',
        g2: 'g2 on color of sky',
        g3: 'g3 on color of sky',
      });
      return true;
    });
    await inTime('a query of a node', async () => {
      const query = { name: 'who', payload: new Uint8Array(), wantsAck: true, timeoutMs: 1000 };
      const answers = await nodes[2]?.gossip.query(query);
      const answered = [...(answers?.responses.keys() ?? [])].sort().join();
      return [...(answers?.acks ?? [])].sort().join() === all && answered === 'g1,g2,g3' ? true : undefined;
    });
  });

  it('serf rtt and serf reachability know all members', async () => {
    for (const [from, to] of [
      ['a1', 'g1'],
      ['g1', 'g2'],
      ['g3', 'a2'],
    ] as const)
      await inTime(`the distance of ${from} and ${to}`, async () => {
        const { ok, output } = (await agents[0]?.try('rtt', from, to)) ?? {};
        return ok && output?.includes(`Estimated ${from} <-> ${to} rtt:`) ? true : undefined;
      });
    const report = await inTime('all to be reached', async () => {
      const { ok, output } = (await agents[1]?.try('reachability')) ?? {};
      return ok && output;
    });
    expect(report).toContain('Total members: 5, live members: 5');
    expect(report).toContain('Successfully contacted all live nodes');
  });

  it('who leaves has left, and who comes again is alive', async () => {
    const [a1, a2] = agents;
    const [g1, g2, g3] = nodes;
    await Promise.all([g1?.gossip.leave(), a2?.run('leave')]);
    await g1?.close();
    agents = a1 ? [a1] : [];
    nodes = g2 && g3 ? [g2, g3] : [];
    await everybodySees('a1 alive', 'a2 left', 'g1 left', 'g2 alive', 'g3 alive');
    const again = await GossipNode.start('g1', { bindAddr: g1?.addr ?? '', ...gossipSecurity });
    await again.join(g2?.addr ?? '');
    nodes.push(again);
    agents.push(await SerfAgent.start({ name: 'a2', join: g3?.addr ?? '', ...gossipSecurity }));
    await everybodySees('a1 alive', 'a2 alive', 'g1 alive', 'g2 alive', 'g3 alive');
    expect(nodes.flatMap(({ logger }) => logger.lines.filter(({ level }) => level !== 'debug'))).toEqual([]);
  });
});
