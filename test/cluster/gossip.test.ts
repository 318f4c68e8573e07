import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { endAgents, SerfAgent, withoutSerf } from '../interop/serf-agent.js';
import { inTime, testMs, untilStatuses } from '../interop/statuses.js';
import { eventually, tell } from './deadline.js';
import { clusterTests, type Run } from './fixture.js';
import type { LiveCluster } from './live-cluster.js';
import { gossipKey as firstKey } from './security.js';
import { expectAllKept } from './verdict.js';
import { hasLogged } from '../logging/logged-lines.js';

if (withoutSerf !== undefined) tell(`a cluster in the gossip of Debian's serf is skipped: ${withoutSerf}`);

const run = clusterTests();
const secondKey = 'EBESExQVFhcYGRobHB0eHw==';
const stopMs = 2_000;
const three = ['n1', 'n2', 'n3'];

/** Golog nodes and agents of serf in one gossip. */
class Gossip {
  constructor(
    readonly nodes: LiveCluster,
    readonly agents: readonly SerfAgent[],
  ) {}

  /** Resolves when all that run see these alive, and those as they are said to be. */
  async allSee(alive: readonly string[], others: readonly string[] = []): Promise<void> {
    const wanted = [...alive.map((name) => `${name} alive`), ...others].sort();
    for (const agent of this.agents) await untilStatuses(`the agent ${agent.addr}`, wanted, () => agent.statuses());
    for (const node of this.nodes.nodes.filter(({ isUp }) => isUp))
      await untilStatuses(node.name, wanted, async () =>
        ((await node.view())?.gossip ?? []).map(({ name, status }) => `${name} ${status}`),
      );
  }

  /** What `serf COMMAND` prints at the first agent, spaces as one; again where a message of it was lost. */
  serf(command: string, ...args: readonly string[]): Promise<string> {
    return inTime(`serf ${command} ${args.join(' ')}`, async () => {
      const { ok, output } = (await this.agents[0]?.try(command, ...args)) ?? {};
      return ok && output?.replace(/ +/g, ' ');
    });
  }

  /** The names of the members that any agent ever reported as failed. */
  get everFailed(): string[] {
    const names = this.agents.flatMap(({ output }) => [...output.matchAll(/EventMemberFailed: (\S+)/g)]);
    return [...new Set(names.map(([, name]) => name ?? ''))];
  }
}

async function seesTags({ nodes, agents }: Gossip): Promise<void> {
  const { clusterId } = await nodes.voters(three);
  for (const agent of agents)
    for (const { name, address } of nodes.nodes) {
      const tags = { role: 'node', rpc_addr: address, cluster: clusterId };
      await inTime(`${name} to tell its tags`, async () => {
        const seen = (await agent.members()).find((member) => member.name === name);
        return Object.entries(tags).every(([tag, value]) => seen?.tags[tag] === value) ? true : undefined;
      });
    }
}

async function answersAgents(gossip: Gossip): Promise<void> {
  const [, second] = gossip.agents;
  await gossip.serf('event', 'deploy', '7');
  await inTime('the event at the other agent', () => second?.output.includes('user-event: deploy') || undefined);
  await inTime('acks of all to a query', async () => {
    const text = await gossip.serf('query', '-format=json', '-timeout=1s', '-relay-factor=2', 'color', 'of sky');
    const { Acks } = JSON.parse(text) as { Acks: string[] };
    return Acks.sort().join() === ['a1', 'a2', ...three].join() ? true : undefined;
  });
  for (const name of three) expect(await gossip.serf('rtt', 'a1', name)).toContain(`Estimated a1 <-> ${name} rtt:`);
  expect(await gossip.serf('reachability')).toContain('Total members: 5, live members: 5');
}

async function changesKeys(gossip: Gossip): Promise<void> {
  expect(await gossip.serf('keys', '-list')).toContain(`${firstKey} [5/5]`);
  await gossip.serf('keys', `-install=${secondKey}`);
  await gossip.serf('keys', `-use=${secondKey}`);
  await gossip.serf('keys', `-remove=${firstKey}`);
  const list = await gossip.serf('keys', '-list');
  expect(list).toContain(`${secondKey} [5/5]`);
  expect(list).not.toContain(firstKey);
}

/** Neither an agent nor a node comes in with no key, or with one that is none any more. */
async function keepsOut({ nodes, agents }: Gossip, own: Run): Promise<void> {
  const [{ gossipAddr }] = nodes.nodes;
  const stranger = await own.node('stranger', ['--encrypt', firstKey]);
  stranger.start(nodes.joining).catch(() => undefined);
  const agent = await SerfAgent.start({ name: 'stranger' });
  const { ok, output } = await agent.try('join', gossipAddr);
  expect([ok, output]).toEqual([undefined, expect.stringContaining('Error joining')]);
  expect(await agent.statuses()).toEqual(['stranger alive']);
  await agent.kill();
  await eventually('it not to be let in', () => hasLogged(stranger.output, 'gossip_isolated') || undefined);
  await stranger.killNine();
  for (const each of agents) expect((await each.statuses()).join()).not.toContain('stranger');
}

/** Pauses a node for two seconds: it may be suspected, and has time to refute that; `everFailed` shows it later. */
async function standStill({ nodes, agents }: Gossip): Promise<void> {
  const [follower] = await nodes.followers();
  follower.pause();
  await delay(stopMs);
  follower.resume();
  agents[1]?.signal('SIGSTOP');
  await delay(stopMs);
  agents[1]?.signal('SIGCONT');
}

(withoutSerf === undefined ? describe : describe.skip)('a cluster of nodes among agents of serf', () => {
  it(
    'is a part of their gossip, keeps the votes of those that fail, and lets those go that leave',
    run('gossip', async (own) => {
      own.atEnd(endAgents);
      const a1 = await SerfAgent.start({ name: 'a1', encryptKey: firstKey });
      const nodes = await own.cluster(3, ['--encrypt', firstKey], (cluster) =>
        cluster.start(['--start-join-addrs', a1.addr]),
      );
      const a2 = await SerfAgent.start({ name: 'a2', encryptKey: firstKey, join: nodes.node('n2').gossipAddr });
      const gossip = new Gossip(nodes, [a1, a2]);
      await gossip.allSee(['a1', 'a2', ...three]);
      await seesTags(gossip);
      await answersAgents(gossip);
      await changesKeys(gossip);
      await keepsOut(gossip, own);

      const load = own.load(nodes);
      await load.more();
      await standStill(gossip);
      const fourth = await own.node('n4', ['--encrypt', secondKey]);
      await fourth.start([...nodes.joining, '--leave-on-terminate']);
      nodes.nodes.push(fourth);
      await nodes.voters([...three, 'n4']);
      await gossip.allSee(['a1', 'a2', ...three, 'n4']);
      expect(gossip.everFailed).toEqual([]);

      const killed = await nodes.leader();
      await killed.killNine();
      const others = nodes.nodes.map(({ name }) => name).filter((name) => name !== killed.name);
      await gossip.allSee(['a1', 'a2', ...others], [`${killed.name} failed`]);
      await load.more();
      await nodes.voters([...three, 'n4']);
      await killed.start();
      await gossip.allSee(['a1', 'a2', ...three, 'n4']);
      await nodes.replicating(4);

      expect(await fourth.stop()).toBe(0);
      await nodes.voters(three);
      await gossip.allSee(['a1', 'a2', ...three], ['n4 left']);
      await load.more();
      await fourth.start();
      const { members } = await nodes.voters([...three, 'n4']);
      await gossip.allSee(['a1', 'a2', ...three, 'n4']);
      expect(members.map(({ id }) => id)).toEqual([1, 2, 3, 5]);
      expect(gossip.everFailed).toEqual([killed.name]);
      await expectAllKept(nodes, load);
    }),
    testMs,
  );
});
