import { closeSync, existsSync, openSync, readdirSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { hasLogged, loggedLines } from '../logging/logged-lines.js';
import { BadSectors, whyNoBadSectors } from './bad-sectors.js';
import { eventually, tell } from './deadline.js';
import { clusterTests } from './fixture.js';
import { LiveCluster, type LiveNode } from './live-cluster.js';
import { expectAllKept } from './verdict.js';

const run = clusterTests();
const reason = whyNoBadSectors();
if (reason !== undefined) tell(`bad sectors are skipped: ${reason}`);

function storesOf({ dataDir }: LiveNode): string[] {
  const folder = join(dataDir, 'logs', 'default');
  const names = readdirSync(folder).filter((name) => name.endsWith('.store'));
  return names.sort().map((name) => join(folder, name));
}

/** Flips a bit in the middle of the file, while its node runs or not. */
function flip(path: string, share: number): void {
  const file = openSync(path, 'r+');
  const at = Math.floor(statSync(path).size * share);
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, at);
  writeSync(file, Buffer.of(byte[0] ^ 0x10), 0, 1, at);
  closeSync(file);
}

async function readFrom(node: LiveNode, from: number, until: number): Promise<void> {
  for (let offset = from; offset < until;) {
    const { batches } = await node.log.read({ from: { offset }, maxBytes: 64 << 10 });
    const last = batches.at(-1);
    if (last === undefined) throw new Error(`nothing at offset ${offset}`);
    offset = last.baseOffset + last.recordCount;
  }
}

const isMended = (node: LiveNode): Promise<true> =>
  eventually('nothing damaged', async () => (await node.view())?.scrub?.damaged.length === 0 || undefined);

describe('T14: rot in sealed segments that nobody reads', () => {
  it(
    'on two of three nodes at once is found by their scrubbers and repaired from the others',
    run('t14', async (own) => {
      const nodes = await own.cluster(3, ['--segment-bytes', '8KiB', '--scrub-bytes-per-second', '1MiB']);
      const load = own.load(nodes);
      await load.more(400);
      const [first, second] = nodes.nodes;
      const written = [first.output.length, second.output.length];
      const before = first.output.length + second.output.length;
      for (const [node, share] of [
        [first, 0.4],
        [second, 0.6],
      ] as const) {
        const stores = storesOf(node);
        expect(stores.length).toBeGreaterThan(4);
        flip(stores[0], share);
        flip(stores[2], share);
        flip(stores[3], 0.0001);
      }
      for (const [i, node] of [first, second].entries()) {
        await eventually('the repair of three segments', () => {
          const lines = node.output.slice(written[i]).split('\n');
          return lines.filter((line) => line.includes('"event":"damaged_segment_repaired"')).length >= 3 || undefined;
        });
        await isMended(node);
      }
      tell(`${first.output.length + second.output.length - before} bytes logged about it`);
      await eventually('a whole pass', () => hasLogged(first.output, 'log_scrub_finished') || undefined);
      expect((await first.view())?.scrub?.completedAtMs).toBeGreaterThan(0);
      await load.more();
      await expectAllKept(nodes, load);
    }),
    240_000,
  );
});

(reason === undefined ? describe : describe.skip)('T13: a disk that cannot read', () => {
  it(
    'a part of a sealed segment: readers get DATA_LOSS and then the records, from elsewhere on the disk',
    run('sealed', async (own) => {
      const sectors = BadSectors.compile(own.file('sectors'));
      const places = await LiveCluster.places(own.folder(), 3, ['--segment-bytes', '8KiB']);
      const nodes = await own.clusterAt(places.map((place) => own.secured({ ...place, through: sectors.through })));
      const load = own.load(nodes);
      await load.more(400);
      const leader = await nodes.leader();
      for (const node of [leader, ...(await nodes.followers()).slice(0, 1)]) {
        const [, store, next] = storesOf(node);
        const [from, until] = [store, next].map((path) => Number(path.slice(-26, -6)));
        const { ino } = statSync(store);
        sectors.spoil(store, 5_000, 5_001);
        await expect(readFrom(node, from, until)).rejects.toMatchObject({ code: 'DATA_LOSS' });
        await isMended(node);
        await readFrom(node, from, until);
        expect(statSync(store).ino).not.toBe(ino);
      }
      expect(hasLogged(leader.output, 'log_damaged_leader')).toBe(true);
      await load.more();
      await expectAllKept(nodes, load);
    }),
    240_000,
  );

  it(
    'a file of the node itself: the node says which file that is and what to do, and serves once it can be read',
    run('own', async (own) => {
      const sectors = BadSectors.compile(own.file('sectors'));
      const place = { ...(await LiveCluster.place(own.folder(), 'n1')), through: sectors.through };
      const nodes = await own.clusterAt([own.secured(place)], ({ nodes: [node] }) => node.start(['--bootstrap']));
      const [node] = nodes.nodes;
      const load = own.load(nodes);
      await load.more();
      for (const file of ['node.id', 'raft/snapshot']) {
        await node.stop();
        const mend = sectors.spoil(join(node.dataDir, file), 0, 1);
        const { length } = node.output;
        await expect(node.start()).rejects.toThrow();
        const [line] = loggedLines(node.output.slice(length), 'start_failed');
        expect(line.reason).toMatch(new RegExp(`${file} .*disk.*start with an empty one`));
        mend();
        await node.start();
        await load.more();
      }
    }),
    240_000,
  );

  it(
    'its end, at start: the node serves the rest, and gets its end back from its peers',
    run('end', async (own) => {
      const sectors = BadSectors.compile(own.file('sectors'));
      const places = await LiveCluster.places(own.folder(), 3, ['--segment-bytes', '8KiB']);
      const nodes = await own.clusterAt(places.map((place) => own.secured({ ...place, through: sectors.through })));
      const load = own.load(nodes);
      await load.more(400);
      for (const end of ['stop', 'killNine'] as const) {
        const [node] = await nodes.followers();
        await load.more();
        await node[end]();
        const store = storesOf(node).at(-1)!;
        const { size } = statSync(store);
        const from = end === 'stop' ? Math.max(52, size - 100) : 0;
        sectors.spoil(store, from, size);
        const { length } = node.output;
        await node.start();
        await eventually('the repair', () => hasLogged(node.output.slice(length), 'log_repair_finished') || undefined);
        await nodes.replicating(3);
      }
      await load.more();
      await expectAllKept(nodes, load);
      expect(existsSync(storesOf(nodes.nodes[0])[0])).toBe(true);
    }),
    240_000,
  );
});
