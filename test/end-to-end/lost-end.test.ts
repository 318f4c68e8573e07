import { readdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { hasLogged } from '../logging/logged-lines.js';
import { compile, GologProcess, runGolog, Scratch, ServerProcess } from './golog-process.js';

const values = Array.from({ length: 400 }, (_, i) => `${i}-${'x'.repeat(52)}`);
const small = ['--segment-bytes', '4096'];

let scratch: Scratch;
beforeAll(compile, 120_000);
beforeEach(() => {
  scratch = new Scratch();
});
afterEach(() => scratch.remove());

const folder = (): string => join(scratch.file('data'), 'logs', 'default');
const stores = (): string[] =>
  readdirSync(folder())
    .filter((name) => name.endsWith('.store'))
    .sort();
const removeStore = (name: string): void => rmSync(join(folder(), name));
const baseOf = (name: string): number => Number(name.slice(0, -'.store'.length));

/** Starts a node, appends the values, and stops it; the log then ends at offset 400. */
async function filled(): Promise<void> {
  const node = await ServerProcess.start(scratch.file('data'), undefined, small);
  expect((await runGolog(['produce', '--batch-bytes', '1024', '--addr', node.rpcAddr], values.join('\n'))).code).toBe(
    0,
  );
  expect(await node.stop()).toBe(0);
  expect(stores().length).toBeGreaterThan(4);
}

const consume = (node: ServerProcess, ...more: string[]): ReturnType<typeof runGolog> =>
  runGolog(['consume', '--addr', node.rpcAddr, ...more]);
const readiness = async ({ httpAddr }: ServerProcess): Promise<number> =>
  (await fetch(`http://${httpAddr}/readyz`)).status;

describe('F2: a single node whose log has lost its end', () => {
  it.each([
    ['the last store was removed', (names: string[]) => removeStore(names.at(-1)!)],
    ['the last store was cut off', (names: string[]) => truncateSync(join(folder(), names.at(-1)!), 90)],
    [
      'the last store and the synced index were removed',
      (names: string[]) => ['synced-index', names.at(-1)!].forEach(removeStore),
    ],
  ])(
    'says so to every reader, and shows no lower watermark: %s',
    async (what, damage) => {
      await filled();
      damage(stores());
      const watermark = what.includes('synced') ? undefined : 400;
      for (let start = 0; start < 2; start++) {
        const node = await ServerProcess.start(scratch.file('data'), undefined, small);
        const all = await consume(node);
        expect(all.code).not.toBe(0);
        expect(all.stderr).toMatch(/lost/);
        const read = all.stdout.trimEnd().split('\n');
        expect(read.length).toBeGreaterThan(200);
        expect(read).toEqual(values.slice(0, read.length));

        const follow = await consume(node, '--follow');
        expect([follow.code, follow.stdout]).toEqual([all.code, all.stdout]);
        for (const from of ['399', ...(watermark === undefined ? ['400'] : [])]) {
          const later = await consume(node, '--from', from);
          expect([later.code, later.stdout, later.stderr]).toEqual([all.code, '', expect.stringMatching(/lost/)]);
        }
        expect((await consume(node, '--from', 'latest', '--follow')).code).toBe(all.code);

        const { stdout } = await runGolog(['cluster', 'status', '--local', '--json', '--addr', node.rpcAddr]);
        const status = JSON.parse(stdout) as { problem?: string; highWatermark: number };
        expect(status.problem).toMatch(/damaged/);
        if (watermark !== undefined) expect(Number(status.highWatermark)).toBe(watermark);
        else expect(Number(status.highWatermark)).toBeGreaterThan(read.length);
        expect((await runGolog(['produce', '--addr', node.rpcAddr], 'more')).code).not.toBe(0);
        expect(await readiness(node)).toBe(503);
        expect(hasLogged(node.stderr, 'log_segment_quarantined')).toBe(true);
        expect(await node.stop()).toBe(0);
      }
    },
    120_000,
  );

  it.each([
    ['removed', removeStore],
    ['cut off', (name: string) => truncateSync(join(folder(), name), 90)],
  ])(
    'tells a reader that reaches a middle store that was %s, and serves what is after it',
    async (_what, damage) => {
      await filled();
      const [name, next] = stores().slice(2);
      damage(name);
      const node = await ServerProcess.start(scratch.file('data'), undefined, small);
      const reading = await consume(node);
      expect([reading.code, reading.stderr]).toEqual([expect.any(Number), expect.stringMatching(/lost/)]);
      expect(reading.code).not.toBe(0);
      const read = reading.stdout.trimEnd().split('\n');
      expect(read.length).toBeLessThan(baseOf(next));
      expect(read).toEqual(values.slice(0, read.length));
      const rest = await consume(node, '--from', String(baseOf(next)));
      expect([rest.code, rest.stdout.trimEnd().split('\n')]).toEqual([0, values.slice(baseOf(next))]);

      const following = new GologProcess(['consume', '--addr', node.rpcAddr, '--follow']);
      expect((await following.finished).code).toBe(reading.code);
      expect((await runGolog(['produce', '--addr', node.rpcAddr], 'more')).code).toBe(0);
      expect(await node.stop()).toBe(0);
    },
    60_000,
  );
});
