import { readdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { type Finished, GologProcess, runGolog } from '../end-to-end/golog-process.js';
import { hasLogged } from '../logging/logged-lines.js';
import { eventually } from './deadline.js';
import { clusterTests, type Run } from './fixture.js';
import type { LiveNode } from './live-cluster.js';
import { readyz } from './readiness.js';
import { expectAllKept } from './verdict.js';

const run = clusterTests();
const values = Array.from({ length: 400 }, (_, i) => `${i}-${'x'.repeat(52)}`);
const small = ['--segment-bytes', '4096'];

const folderOf = ({ dataDir }: LiveNode): string => join(dataDir, 'logs', 'default');
const storesOf = (node: LiveNode): string[] =>
  readdirSync(folderOf(node))
    .filter((name) => name.endsWith('.store'))
    .sort();
const baseOf = (name: string): number => Number(name.slice(0, -'.store'.length));

type Damage = (folder: string, names: readonly string[]) => void;
const remove = (folder: string, ...names: readonly string[]): void => {
  for (const name of names) rmSync(join(folder, name));
};
const cutOff = (folder: string, name: string): void => truncateSync(join(folder, name), 90);

/** Starts a node, appends the values, and stops it; the log then ends at offset 400. */
async function filled(own: Run): Promise<LiveNode> {
  const { nodes } = await own.cluster(1, small, ({ nodes: [node] }) => node.start(['--bootstrap']));
  const [node] = nodes;
  const produce = ['produce', '--batch-bytes', '1024', '--addr', node.address, ...own.as('producer')];
  expect(await runGolog(produce, values.join('\n'))).toMatchObject({ code: 0 });
  expect(await node.stop()).toBe(0);
  expect(storesOf(node).length).toBeGreaterThan(4);
  return node;
}

const consume = (own: Run, node: LiveNode, ...more: string[]): Promise<Finished> =>
  runGolog(['consume', '--addr', node.address, ...more, ...own.as('consumer')]);

const linesOf = ({ stdout }: Finished): string[] => stdout.trimEnd().split('\n');

describe('F2: a single node whose log has lost its end', () => {
  it.each<[string, Damage]>([
    ['the last store was removed', (folder, names) => remove(folder, names.at(-1)!)],
    ['the last store was cut off', (folder, names) => cutOff(folder, names.at(-1)!)],
    [
      'the last store and the synced index were removed',
      (folder, names) => remove(folder, 'synced-index', names.at(-1)!),
    ],
  ])(
    'says so to every reader, and shows no lower watermark: %s',
    async (what, damage) =>
      run(`lost-end ${what}`, async (own) => {
        const node = await filled(own);
        damage(folderOf(node), storesOf(node));
        const watermark = what.includes('synced') ? undefined : 400;
        for (let start = 0; start < 2; start++) {
          await node.start();
          const all = await consume(own, node);
          expect(all.code).not.toBe(0);
          expect(all.stderr).toMatch(/lost/);
          const read = linesOf(all);
          expect(read.length).toBeGreaterThan(200);
          expect(read).toEqual(values.slice(0, read.length));

          const follow = await consume(own, node, '--follow');
          expect([follow.code, follow.stdout]).toEqual([all.code, all.stdout]);
          for (const from of ['399', ...(watermark === undefined ? ['400'] : [])]) {
            const later = await consume(own, node, '--from', from);
            expect([later.code, later.stdout, later.stderr]).toEqual([all.code, '', expect.stringMatching(/lost/)]);
          }
          expect((await consume(own, node, '--from', 'latest', '--follow')).code).toBe(all.code);

          const asked = ['cluster', 'status', '--local', '--json', '--addr', node.address, ...own.as('operator')];
          const status = JSON.parse((await runGolog(asked)).stdout) as { problem?: string; highWatermark: number };
          expect(status.problem).toMatch(/damaged/);
          if (watermark !== undefined) expect(Number(status.highWatermark)).toBe(watermark);
          else expect(Number(status.highWatermark)).toBeGreaterThan(read.length);
          const produced = await runGolog(['produce', '--addr', node.address, ...own.as('producer')], 'more');
          expect(produced.code).not.toBe(0);
          expect(await readyz(node, own.tls('consumer'))).toBe(503);
          expect(hasLogged(node.process!.stderr, 'log_segment_quarantined')).toBe(true);
          expect(await node.stop()).toBe(0);
        }
      })(),
    120_000,
  );

  it.each<[string, (folder: string, name: string) => void]>([
    ['removed', remove],
    ['cut off', cutOff],
  ])(
    'tells a reader that reaches a middle store that was %s, and serves what is after it',
    async (what, damage) =>
      run(`lost-middle ${what}`, async (own) => {
        const node = await filled(own);
        const [name, next] = storesOf(node).slice(2);
        damage(folderOf(node), name);
        await node.start();
        const reading = await consume(own, node);
        expect([reading.code, reading.stderr]).toEqual([expect.any(Number), expect.stringMatching(/lost/)]);
        expect(reading.code).not.toBe(0);
        const read = linesOf(reading);
        expect(read.length).toBeLessThan(baseOf(next));
        expect(read).toEqual(values.slice(0, read.length));
        const rest = await consume(own, node, '--from', String(baseOf(next)));
        expect([rest.code, linesOf(rest)]).toEqual([0, values.slice(baseOf(next))]);

        const following = new GologProcess(['consume', '--addr', node.address, '--follow', ...own.as('consumer')]);
        expect((await following.finished).code).toBe(reading.code);
        const produce = ['produce', '--addr', node.address, ...own.as('producer')];
        expect(await runGolog(produce, 'more')).toMatchObject({ code: 0 });
        expect(await node.stop()).toBe(0);
      })(),
    120_000,
  );
});

describe('F2: a member of three whose log has lost its end', () => {
  it.each<[string, Damage]>([
    ['the last store was removed', (folder, names) => remove(folder, names.at(-1)!)],
    ['the last store was cut off', (folder, names) => cutOff(folder, names.at(-1)!)],
    ['the last three stores were removed', (folder, names) => remove(folder, ...names.slice(-3))],
    [
      'the last store and the synced index were removed',
      (folder, names) => remove(folder, 'synced-index', names.at(-1)!),
    ],
  ])(
    'gets it again from the others, and nothing is lost: %s',
    async (what, damage) =>
      run(`lost-end-of-three ${what}`, async (own) => {
        const nodes = await own.cluster(3, ['--segment-bytes', '64KiB']);
        const load = own.load(nodes);
        await load.more(1_500);
        for (const node of [(await nodes.followers())[0], await nodes.leader()]) {
          await node.stop();
          damage(folderOf(node), storesOf(node));
          await load.more();
          await node.start();
          await nodes.replicating(3);
          await eventually(
            `${node.name} to be ready`,
            async () => (await readyz(node, own.tls('consumer'))) === 200 || undefined,
          );
          await load.more();
        }
        await expectAllKept(nodes, load);
      })(),
    240_000,
  );
});
