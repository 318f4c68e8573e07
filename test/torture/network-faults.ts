import { type BegunFault, type Fault, namesOf, type Stage } from './fault.js';
import { Links } from './links.js';
import type { TortureNode } from './node.js';
import type { Random } from './random.js';

type Direction = readonly [from: TortureNode, to: TortureNode];

/** Cuts these directions until the end. Nodes that move meanwhile leave their cuts behind. */
async function cutting({ links }: Stage, directions: readonly Direction[], what: string): Promise<BegunFault> {
  const cuts = directions.map(([from, to]) => [from.host, to.host] as const);
  for (const [from, to] of cuts) await links.cut(from, to);
  return {
    what,
    end: async () => {
      for (const [from, to] of cuts) await links.mend(from, to);
    },
  };
}

const between = (some: readonly TortureNode[], others: readonly TortureNode[]): Direction[] =>
  some.flatMap((one) => others.map((other) => [one, other] as const));

async function leaderAndOthers({ cluster }: Stage): Promise<readonly [TortureNode, TortureNode[]] | undefined> {
  const leader = await cluster.leader();
  return leader && [leader, cluster.nodes.filter((node) => node !== leader)];
}

const lacks = (): string | undefined => Links.lacks();

const partition: Fault = {
  name: 'partition',
  summary: 'the nodes fall into two groups that do not hear each other',
  lacks,
  begin: async (stage, random) => {
    const nodes = random.shuffled(stage.cluster.nodes);
    const size = random.between(1, nodes.length - 1);
    const [some, others] = [nodes.slice(0, size), nodes.slice(size)];
    const what = `${namesOf(some)} from ${namesOf(others)}`;
    return cutting(stage, [...between(some, others), ...between(others, some)], what);
  },
};

const isolatedLeader: Fault = {
  name: 'isolated-leader',
  appendsGoOn: true,
  summary: 'the leader and the others do not hear each other; clients reach them all',
  lacks,
  begin: async (stage) => {
    const [leader, others] = (await leaderAndOthers(stage)) ?? [];
    if (leader === undefined || others === undefined) return undefined;
    return cutting(stage, [...between([leader], others), ...between(others, [leader])], leader.name);
  },
};

const muteLeader: Fault = {
  name: 'mute-leader',
  appendsGoOn: true,
  summary: 'nobody hears the leader, which hears the others',
  lacks,
  begin: async (stage) => {
    const [leader, others] = (await leaderAndOthers(stage)) ?? [];
    return leader && others && cutting(stage, between([leader], others), leader.name);
  },
};

const deafLeader: Fault = {
  name: 'deaf-leader',
  appendsGoOn: true,
  summary: 'the leader hears nobody, and the others hear it',
  lacks,
  begin: async (stage) => {
    const [leader, others] = (await leaderAndOthers(stage)) ?? [];
    return leader && others && cutting(stage, between(others, [leader]), leader.name);
  },
};

const oneWayCuts: Fault = {
  name: 'one-way-cuts',
  summary: 'some nodes do not hear some others',
  lacks,
  begin: async (stage, random) => {
    const { nodes } = stage.cluster;
    const directions = between(nodes, nodes).filter(([from, to]) => from !== to);
    const cut = random.shuffled(directions).slice(0, random.between(1, nodes.length));
    return cutting(stage, cut, cut.map(([from, to]) => `${from.name} to ${to.name}`).join(', '));
  },
};

const unplugged: Fault = {
  name: 'unplugged',
  summary: 'nobody reaches a node, clients included',
  begin: async ({ cluster }, random) => {
    const [node] = await cluster.claim(random, 1, random.percent(50) ? 'leader' : 'any');
    if (node === undefined) return undefined;
    cluster.network.unplug(node.host);
    return {
      what: node.name,
      end: async () => {
        cluster.network.plug(node.host);
        cluster.release([node]);
      },
    };
  },
};

/** Does something to the hosts of some nodes, or all, and ends it. */
async function atHosts(
  { cluster }: Stage,
  random: Random,
  how: string,
  begin: (host: number) => Promise<void>,
  end: (host: number) => Promise<void>,
): Promise<BegunFault> {
  const nodes = random.percent(50) ? cluster.nodes : [random.pick(cluster.nodes)];
  const hosts = nodes.map(({ host }) => host);
  await Promise.all(hosts.map(begin));
  return { what: `${namesOf(nodes)}, ${how}`, end: async () => void (await Promise.all(hosts.map(end))) };
}

const loss: Fault = {
  name: 'loss',
  summary: 'packets to some nodes are lost, 5 to 40 of a hundred',
  lacks,
  begin: (stage, random) => {
    const percent = random.between(5, 40);
    const { links } = stage;
    return atHosts(
      stage,
      random,
      `${percent} %`,
      (host) => links.lose(host, percent),
      (host) => links.loseNone(host),
    );
  },
};

const duplication: Fault = {
  name: 'duplication',
  summary: 'packets of some nodes are sent twice',
  lacks,
  begin: (stage, random) => {
    const { links } = stage;
    return atHosts(
      stage,
      random,
      'twice',
      (host) => links.repeat(host),
      (host) => links.repeatNothing(host),
    );
  },
};

const slowLinks: Fault = {
  name: 'slow-links',
  summary: 'nodes send 64 to 2,000 kbit/s; packets wait for that, up to a second',
  lacks: () => Links.cannotShape(),
  begin: (stage, random) => {
    const [rate, waitMs] = [random.between(64, 2_000), random.between(50, 1_000)];
    const { links } = stage;
    const how = `${rate} kbit/s, ${waitMs} ms`;
    return atHosts(
      stage,
      random,
      how,
      (host) => links.slow(host, rate, waitMs),
      (host) => links.slowNothing(host),
    );
  },
};

export const networkFaults: readonly Fault[] = [
  partition,
  isolatedLeader,
  muteLeader,
  deafLeader,
  oneWayCuts,
  unplugged,
  loss,
  duplication,
  slowLinks,
];
