import { claiming, type Fault, lacksFaultySystem, lasting, minorityOf, namesOf, type Stage } from './fault.js';
import type { TortureNode } from './node.js';
import type { Random } from './random.js';

type Targets = 'leader' | 'minority' | 'all';

const nameOf = (targets: Targets): string =>
  ({ leader: 'the leader', minority: 'a minority', all: 'all nodes' })[targets];

const chosen = (targets: Targets, { cluster }: Stage): { count: number; which: 'any' | 'leader' } => {
  if (targets === 'leader') return { count: 1, which: 'leader' };
  return { count: targets === 'all' ? cluster.nodes.length : minorityOf(cluster), which: 'any' };
};

function killing(targets: Targets): Fault {
  return {
    name: `kill-${targets}`,
    appendsGoOn: targets === 'leader',
    summary: `kill -9 of ${nameOf(targets)}, started again later`,
    begin: (stage, random) =>
      claiming(stage, random, chosen(targets, stage), async (nodes) => {
        await Promise.all(nodes.map((node) => node.kill()));
        return { end: async () => nodes.forEach((node) => node.start()) };
      }),
  };
}

function pausing(targets: Targets): Fault {
  return {
    name: `pause-${targets}`,
    appendsGoOn: targets === 'leader',
    summary: `SIGSTOP of ${nameOf(targets)} for 0.5 to 60 s, and SIGCONT`,
    lastsMs: [500, 60_000],
    begin: (stage, random) =>
      claiming(stage, random, chosen(targets, stage), async (nodes) => {
        for (const node of nodes) node.signal('SIGSTOP');
        return { end: async () => nodes.forEach((node) => node.signal('SIGCONT')) };
      }),
  };
}

/** The process stands still while the power goes, so that nothing that it does is seen after that. */
async function cutPower(node: TortureNode): Promise<void> {
  node.signal('SIGSTOP');
  await node.disk.cutPower();
  await node.kill();
}

async function startWithPower(node: TortureNode): Promise<void> {
  await node.disk.restorePower();
  node.start();
}

function powerCut(targets: Targets): Fault {
  return {
    name: `power-cut-${targets}`,
    appendsGoOn: targets === 'leader',
    summary: `the power of ${nameOf(targets)} fails: what was not synced is lost`,
    begin: (stage, random) =>
      claiming(stage, random, chosen(targets, stage), async (nodes) => {
        await Promise.all(nodes.map(cutPower));
        return { end: async () => void (await Promise.all(nodes.map(startWithPower))) };
      }),
  };
}

/** Each node in turn, and the next one once the last is ready. */
async function restartInTurn({ cluster }: Stage, nodes: readonly TortureNode[]): Promise<void> {
  for (const node of nodes) {
    await node.stop();
    node.start();
    await cluster.readyAgain(node, 10_000);
  }
}

const rollingRestart: Fault = {
  name: 'rolling-restart',
  summary: 'SIGTERM and start of one node after the other',
  lastsMs: [0, 0],
  begin: (stage, random) =>
    claiming(stage, random, { count: stage.cluster.nodes.length, which: 'any' }, async (nodes) => ({
      end: () => restartInTurn(stage, nodes),
    })),
};

const tornWrite: Fault = {
  name: 'torn-write',
  appendsGoOn: true,
  summary: 'a node is killed half-way through a write to its log',
  lacks: lacksFaultySystem,
  mayEndNodes: true,
  begin: (stage, random) =>
    claiming(stage, random, { count: 1, which: 'any' }, async (nodes) => {
      for (const { system } of nodes) system?.set('tornWrite', 1);
      return { end: async () => nodes.forEach(({ system }) => system?.set('tornWrite', 0)) };
    }),
};

const stutter: Fault = {
  name: 'stutter',
  summary: 'a node stands still for 0.2 to 2 s, again and again',
  begin: async (stage: Stage, random: Random) => {
    const [node] = await stage.cluster.claim(random, 1);
    if (node === undefined) return undefined;
    let isOver = false;
    const stutters = (async () => {
      while (!isOver) {
        node.signal('SIGSTOP');
        await lasting(random.between(200, 2_000));
        node.signal('SIGCONT');
        await lasting(random.between(20, 500));
      }
    })();
    return {
      what: namesOf([node]),
      end: async () => {
        isOver = true;
        await stutters;
        stage.cluster.release([node]);
      },
    };
  },
};

export const processFaults: readonly Fault[] = [
  killing('leader'),
  killing('minority'),
  killing('all'),
  pausing('leader'),
  pausing('minority'),
  stutter,
  powerCut('leader'),
  powerCut('minority'),
  powerCut('all'),
  tornWrite,
  rollingRestart,
];
