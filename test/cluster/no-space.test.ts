import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { eventually, tell } from './deadline.js';
import { clusterTests, type Run } from './fixture.js';
import { LiveCluster, type LiveNode } from './live-cluster.js';
import { Appender } from './load.js';
import { SmallDisk, whyNoSmallDisk } from './small-disk.js';

const probe = mkdtempSync(join(tmpdir(), 'golog-small-disk-'));
const reason = whyNoSmallDisk(probe);
rmSync(probe, { recursive: true });
if (reason !== undefined) tell(`a disk without a free byte is skipped: ${reason}`);

const diskBytes = 12 << 20;
const run = clusterTests();

/** Mounts a disk of its own for each node, and returns the nodes' places on them. */
async function onSmallDisks(own: Run, names: readonly string[], args: readonly string[] = []) {
  const disks = new Map<string, SmallDisk>();
  own.atEnd(() => {
    for (const disk of disks.values()) disk.unmount();
  });
  const places = [];
  for (const name of names) {
    const disk = SmallDisk.mount(own.file(`disk-${name}`), diskBytes);
    disks.set(name, disk);
    places.push(own.secured(await LiveCluster.place(disk.path, name, ['--segment-bytes', '64KiB', ...args])));
  }
  return { disks, places };
}

/** Returns the offset after the last record that the node serves, having read everything. */
async function readAll(node: LiveNode): Promise<number> {
  const { highWatermark } = await node.log.info();
  for (let offset = 0; offset < highWatermark;) {
    const { batches } = await node.log.read({ from: { offset }, maxBytes: 1 << 20 });
    const last = batches.at(-1);
    if (last === undefined) throw new Error(`nothing at offset ${offset}`);
    offset = last.baseOffset + last.recordCount;
  }
  return highWatermark;
}

/** Appends a record. Returns true, or what the node answered. */
async function append(own: Run, node: LiveNode, text: string): Promise<true | string> {
  const appender = new Appender(node.address, own.tls('appender'));
  try {
    const outcome = await appender.append([text], 10_000);
    return outcome.kind === 'acknowledged' || `${outcome.kind}: ${String(outcome.error)}`;
  } finally {
    appender.close();
  }
}

const appended = async (own: Run, node: LiveNode): Promise<true | undefined> =>
  (await append(own, node, 'again')) === true || undefined;

(reason === undefined ? describe : describe.skip)('T9: a node started on a disk without a single free byte', () => {
  it(
    'serves what it has, refuses appends, and goes on when there is space',
    run('alone', async (own) => {
      const { disks, places } = await onSmallDisks(own, ['n1']);
      const nodes = await own.clusterAt(places, (cluster) => cluster.nodes[0].start(['--bootstrap']));
      const [node] = nodes.nodes;
      for (let i = 0; i < 40; i++) expect(await append(own, node, `${i} ${'.'.repeat(4_000)}`)).toBe(true);
      for (const end of ['stop', 'killNine'] as const) {
        await node[end]();
        disks.get('n1')!.fill();
        const written = node.output.length;
        await node.start();
        expect(await readAll(node)).toBeGreaterThanOrEqual(40);
        expect(await append(own, node, 'refused')).toMatch(/^refused: /);
        await node.stop();
        await node.start();
        expect(await readAll(node)).toBeGreaterThanOrEqual(40);
        expect(node.output.slice(written)).not.toContain('"event":"fatal');
        disks.get('n1')!.free();
        await eventually('an append', () => appended(own, node));
      }
    }),
    120_000,
  );

  it(
    'finds its cluster by gossip and is a member, and so is a replica',
    run('three', async (own) => {
      const { disks, places } = await onSmallDisks(own, ['n1', 'n2', 'n3', 'r1']);
      const nodes = await own.clusterAt(places.slice(0, 3));
      const replica = own.nodeAt({ ...places[3], args: [...(places[3].args ?? []), '--replica'] });
      await replica.start(nodes.joining);
      nodes.nodes.push(replica);
      const leader = await nodes.leader();
      for (let i = 0; i < 40; i++) expect(await append(own, leader, `${i} ${'.'.repeat(4_000)}`)).toBe(true);
      await nodes.converged();

      const [follower] = await nodes.followers();
      for (const node of [follower, replica]) {
        await node.stop();
        disks.get(node.name)!.fill();
        await node.start();
        expect(await readAll(node)).toBeGreaterThanOrEqual(40);
      }
      // The others go on without it.
      expect(await append(own, leader, 'meanwhile')).toBe(true);
      await eventually('gossip', async () => {
        const status = await leader.view();
        const alive = status?.gossip.filter((each) => each.status === 'alive').map(({ name }) => name);
        return alive?.length === 4 || undefined;
      });
      for (const node of [follower, replica]) disks.get(node.name)!.free();
      await nodes.converged();

      for (const node of nodes.nodes) {
        await node.killNine();
        disks.get(node.name)!.fill();
      }
      await Promise.all(nodes.nodes.map((node) => node.start()));
      // Nobody leads, so what was committed within the last second may be unknown: records are shown after the election.
      for (const node of nodes.nodes) await eventually('a status', async () => (await node.view()) && true);
      for (const disk of disks.values()) disk.free();
      const next = await nodes.leader();
      await eventually('an append', () => appended(own, next));
      await nodes.converged();
      for (const node of nodes.nodes) expect(await readAll(node)).toBeGreaterThanOrEqual(42);
    }),
    180_000,
  );
});
