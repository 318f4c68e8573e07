import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compile, runGolog, Scratch, ServerProcess } from './golog-process.js';

const scratch = new Scratch();
const dataDir = scratch.file('data');
const segments = join(dataDir, 'logs/default');
let stores: string[];

interface Report {
  readonly records: number;
  readonly logEndOffset: number;
  readonly inUse: boolean;
  readonly problems: readonly string[];
  readonly remarks: readonly string[];
  readonly segments: readonly { readonly fileName: string }[];
}

async function verify(): Promise<{ code: number | null; report: Report }> {
  const { code, stdout, stderr } = await runGolog(['verify', dataDir, '--json']);
  expect(stderr).toBe('');
  return { code, report: JSON.parse(stdout) as Report };
}

/** Runs `task` with the file changed, and puts the file back. */
async function withDamage(file: string, damage: (path: string, bytes: Buffer) => void, task: () => Promise<void>) {
  const path = join(segments, file);
  const original = readFileSync(path);
  try {
    damage(path, Buffer.from(original));
    await task();
  } finally {
    writeFileSync(path, original);
  }
}

beforeAll(async () => {
  compile();
  const server = await ServerProcess.start(dataDir, undefined, ['--segment-bytes', '64KiB']);
  const lines = Array.from({ length: 3_000 }, (_, n) => `line ${n} ${'.'.repeat(50)}\n`).join('');
  await runGolog(['produce', '--addr', server.rpcAddr, '--batch-bytes', '4KiB'], lines);
  const { code, report } = await verify();
  expect([code, report.inUse, report.problems]).toEqual([0, true, []]);
  expect(await server.stop()).toBe(0);
  stores = readdirSync(segments).filter((name) => name.endsWith('.store'));
}, 120_000);
afterAll(() => scratch.remove());

describe('golog verify', () => {
  it('finds a whole log clean', async () => {
    const { code, report } = await verify();
    expect([code, report.problems, report.records, report.logEndOffset]).toEqual([0, [], 3_000, 3_000]);
    expect(report.segments.map(({ fileName }) => fileName)).toEqual(stores);
    expect(stores.length).toBeGreaterThan(2);
    const { stdout } = await runGolog(['verify', dataDir]);
    expect(stdout).toMatch(/clean: 3000 records in \d+ batches/);
    expect(stdout).toMatch(/ 0 to \d+ [^]* \d+ to 2999 /);
  }, 60_000);

  it('names the segment in which a bit has flipped', async () => {
    const flip = (path: string, bytes: Buffer): void => {
      bytes[5_000] ^= 1;
      writeFileSync(path, bytes);
    };
    await withDamage(stores[1], flip, async () => {
      const { code, report } = await verify();
      expect(code).toBe(4);
      expect(report.problems).toEqual([expect.stringContaining(stores[1])]);
      const dumped = await runGolog(['dump', join(segments, stores[1])]);
      expect([dumped.code, dumped.stdout]).toEqual([4, expect.stringMatching(/BAD up to/)]);
    });
  }, 60_000);

  it('misses what was durable when the end of the log is gone', async () => {
    const cut = (path: string, bytes: Buffer): void => {
      truncateSync(path, bytes.length - 10);
    };
    await withDamage(stores.at(-1)!, cut, async () => {
      const { code, report } = await verify();
      expect([code, report.problems]).toEqual([
        4,
        expect.arrayContaining([expect.stringMatching(/had been made durable/)]),
      ]);
    });
  }, 60_000);

  it('says what is no data directory', async () => {
    const { code, stderr } = await runGolog(['verify', scratch.file('nowhere')]);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/no golog data directory at .*nowhere/)]);
  }, 60_000);
});

describe('golog dump', () => {
  it('prints the batches of a segment in order', async () => {
    const { code, stdout } = await runGolog(['dump', join(segments, stores[0]), '--json']);
    expect(code).toBe(0);
    const [head, ...batches] = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { baseOffset: number; recordCount: number; valid?: boolean });
    expect(head).toMatchObject({ fileName: stores[0], baseOffset: 0 });
    let next = 0;
    for (const { baseOffset, recordCount, valid } of batches) {
      expect([baseOffset, valid]).toEqual([next, true]);
      next += recordCount;
    }
    expect(next).toBe(Number(stores[1].slice(0, 20)));
  }, 60_000);

  it('says what it cannot dump', async () => {
    const folder = await runGolog(['dump', segments]);
    expect([folder.code, folder.stderr]).toEqual([1, expect.stringMatching(/is not a file/)]);
    const index = await runGolog(['dump', join(segments, stores[0].replace('.store', '.absent'))]);
    expect([index.code, index.stderr]).toEqual([1, expect.stringMatching(/there is no file .*: expected a segment/)]);
    const readme = await runGolog(['dump', 'README.md']);
    expect(readme).toEqual({
      code: 1,
      stdout: '',
      stderr: 'golog dump: README.md is not a segment: expected its .store file\n',
    });
  }, 60_000);
});
