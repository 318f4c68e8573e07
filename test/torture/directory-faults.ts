import { closeSync, existsSync, fstatSync, openSync, readSync, rmSync, truncateSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import { copyDirectory, filesOf } from './directory-copies.js';
import { type BegunFault, claiming, type Fault, lasting, minorityOf, type Stage } from './fault.js';
import type { TortureNode } from './node.js';
import type { Random } from './random.js';

const recoverMs = 30_000;
/** A node that ends so often does not start on its directory. */
const endsMax = 3;

/**
 * Gives the nodes time to be ready again. One that does not start on what it has gets an empty directory, as its operator
 * would do: a node may say that it cannot go on.
 */
async function recover({ cluster, tell }: Stage, nodes: readonly TortureNode[]): Promise<void> {
  for (const node of nodes) {
    if (await cluster.readyAgain(node, recoverMs, () => node.endedByItself >= endsMax)) continue;
    if (node.endedByItself < endsMax) continue;
    tell(`${node.name} does not start on its directory, which is emptied now`);
    await node.kill();
    node.disk.wipe();
    node.start();
  }
}

/** Kills a minority, at least one node, falsifies their directories, and starts them again. */
function falsifying(
  about: Pick<Fault, 'name' | 'summary'>,
  falsify: (stage: Stage, node: TortureNode, random: Random) => Promise<string> | string,
): Fault {
  return {
    ...about,
    needsWhole: true,
    mayEndNodes: true,
    begin: (stage, random) => {
      const count = random.between(1, minorityOf(stage.cluster));
      const which = random.percent(30) ? 'leader' : 'any';
      return claiming(stage, random, { count, which }, async (nodes) => {
        const done: string[] = [];
        for (const node of nodes) {
          await node.kill();
          done.push(await falsify(stage, node, random));
          await lasting(random.percent(50) ? 0 : random.between(100, 3_000));
          node.start();
        }
        return { how: done.join('; '), end: () => recover(stage, nodes) };
      });
    },
  };
}

/** Changes bytes of a file in place. */
function change(path: string, at: number, length: number, to: (bytes: Buffer) => void): void {
  const file = openSync(path, 'r+');
  const bytes = Buffer.alloc(Math.max(0, Math.min(length, fstatSync(file).size - at)));
  readSync(file, bytes, 0, bytes.length, at);
  to(bytes);
  writeSync(file, bytes, 0, bytes.length, at);
  closeSync(file);
}

function sizeOf(path: string): number {
  const file = openSync(path, 'r');
  const { size } = fstatSync(file);
  closeSync(file);
  return size;
}

function flipBit(path: string, random: Random): void {
  const at = random.below(Math.max(1, sizeOf(path)));
  change(path, at, 1, (bytes) => bytes.writeUInt8(bytes.readUInt8() ^ (1 << random.below(8))));
}

/** Damages stores, in one to three places. */
function damageStores(stage: Stage, node: TortureNode, random: Random, damage: (path: string) => void): string {
  const { disk } = node;
  const stores = filesOf(disk.dataDir).filter((path) => path.endsWith('.store'));
  // All but the last are sealed.
  const sealed = stores.length > 1 && random.percent(80) ? stores.slice(0, -1) : stores;
  const damaged = Array.from({ length: random.between(1, 3) }, () => random.pick(sealed));
  for (const path of damaged) damage(join(disk.dataDir, path));
  const offsets = damaged.map((path) => Number(basename(path, '.store')));
  stage.cluster.rotten.set(node, Math.min(stage.cluster.rotten.get(node) ?? Infinity, ...offsets));
  return offsets.map((offset) => `store ${offset}`).join(', ');
}

const bitFlips = falsifying(
  { name: 'bit-flips', summary: 'bits flip in the log of a stopped node' },
  (stage, node, random) => damageStores(stage, node, random, (path) => flipBit(path, random)),
);

const zeroedBlocks = falsifying(
  { name: 'zeroed-blocks', summary: 'blocks of the log of a stopped node turn to zeros' },
  (stage, node, random) =>
    damageStores(stage, node, random, (path) => {
      const blockBytes = random.pick([512, 4096]);
      const blocks = Math.ceil(sizeOf(path) / blockBytes);
      change(path, random.below(blocks) * blockBytes, blockBytes, (bytes) => bytes.fill(0));
    }),
);

/** A file that is not a part of the log itself. Of indexes there are more than of all others. */
function pickStateFile({ disk }: TortureNode, random: Random): string {
  const files = filesOf(disk.dataDir).filter((path) => !path.endsWith('.store'));
  const isIndex = (path: string): boolean => path.endsWith('.index');
  return random.pick(random.percent(20) ? files : files.filter((path) => !isIndex(path)));
}

const stateFileLost = falsifying(
  { name: 'state-file-lost', summary: 'a state file or an index of a stopped node is removed' },
  (_, node, random) => {
    const path = pickStateFile(node, random);
    rmSync(join(node.disk.dataDir, path));
    return path;
  },
);

const stateFileDamaged = falsifying(
  {
    name: 'state-file-damaged',
    summary: 'a state file or an index of a stopped node is cut off, or has a bit flipped',
  },
  (_, node, random) => {
    const path = pickStateFile(node, random);
    const whole = join(node.disk.dataDir, path);
    const isCut = random.percent(50);
    if (isCut) truncateSync(whole, Math.floor(sizeOf(whole) / 2));
    else if (sizeOf(whole) > 0) flipBit(whole, random);
    return `${path}, ${isCut ? 'cut off' : 'one bit'}`;
  },
);

const partLost = falsifying(
  { name: 'part-lost', summary: 'the log or the Raft state of a stopped node is removed' },
  (_, node, random) => {
    const part = random.pick(['raft', 'logs']);
    rmSync(join(node.disk.dataDir, part), { recursive: true });
    return part;
  },
);

const wiped = falsifying({ name: 'wiped', summary: 'a node comes back with an empty disk' }, (_, node) => {
  node.disk.wipe();
  return 'empty';
});

const oldCopy = falsifying(
  { name: 'old-copy', summary: 'a directory, a part of it or one state file is put back from an older copy' },
  async ({ copies }, node, random) => {
    const { dataDir } = node.disk;
    const copy = copies.pick(node, random);
    if (copy === undefined) return 'no copy';
    const files = ['raft/hard-state', 'raft/snapshot', 'raft/incarnation', 'raft/peer-notes'];
    const part = random.pick(['.', '.', '.', 'raft', 'logs', random.pick(files)]);
    const [from, to] = [join(copy.path, part), join(dataDir, part)];
    if (!existsSync(from)) return `no ${part} in the copy`;
    await copyDirectory(from, to);
    return `${part === '.' ? 'all' : part} of ${Math.round(copy.ageMs / 1_000)} s ago`;
  },
);

const coldCopy: Fault = {
  name: 'cold-copy',
  summary: 'all nodes are stopped, and started on copies of their directories',
  needsWhole: true,
  begin: (stage, random) =>
    claiming(stage, random, { count: stage.cluster.nodes.length, which: 'any' }, async (nodes) => {
      await Promise.all(nodes.map((node) => node.kill()));
      for (const { disk } of nodes) {
        await copyDirectory(disk.dataDir, `${disk.dataDir}-copy`);
        await copyDirectory(`${disk.dataDir}-copy`, disk.dataDir);
        rmSync(`${disk.dataDir}-copy`, { recursive: true });
      }
      return { end: async () => nodes.forEach((node) => node.start()) };
    }),
};

const swapped: Fault = {
  name: 'swapped',
  summary: 'two nodes get each other’s disk, and later their own',
  needsWhole: true,
  mayEndNodes: true,
  begin: (stage, random) =>
    claiming(stage, random, { count: 2, which: 'any' }, async (nodes) => {
      const swap = async (): Promise<void> => {
        const [one, other] = nodes;
        await Promise.all([one.kill(), other.kill()]);
        [one.disk, other.disk] = [other.disk, one.disk];
        one.start();
        other.start();
      };
      await swap();
      return { end: swap };
    }),
};

const twin: Fault = {
  name: 'twin',
  summary: 'a copy of the disk of a node that runs is started on another host',
  needsWhole: true,
  mayEndNodes: true,
  begin: async (stage: Stage, random: Random): Promise<BegunFault | undefined> => {
    const { cluster } = stage;
    const [node] = await cluster.claim(random, 1);
    if (node === undefined) return undefined;
    const copy = await cluster.makeNode(`${node.name}-copy`, node.name);
    await copyDirectory(node.disk.dataDir, copy.disk.dataDir);
    copy.start();
    return {
      what: node.name,
      // The node may be out since the copy has its seat.
      end: async () => {
        await cluster.discard(copy);
        await node.kill();
        node.start();
        cluster.release([node]);
      },
    };
  },
};

/** Faults of what is in data directories. */
export const directoryFaults: readonly Fault[] = [
  bitFlips,
  zeroedBlocks,
  stateFileLost,
  stateFileDamaged,
  partLost,
  wiped,
  oldCopy,
  coldCopy,
  swapped,
  twin,
];
