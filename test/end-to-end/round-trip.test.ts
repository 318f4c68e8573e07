import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sha256Of, writeCorpus } from './corpus.js';
import { compile, runGolog, Scratch, ServerProcess } from './golog-process.js';

const scratch = new Scratch();
let server: ServerProcess;

beforeAll(async () => {
  compile();
  server = await ServerProcess.start(scratch.file('data'));
}, 120_000);
afterAll(async () => {
  await server.stop();
  scratch.remove();
});

interface Summary {
  readonly records: number;
  readonly bytes: number;
  readonly firstOffset: number;
  readonly lastOffset: number;
}

async function produce(...args: string[]): Promise<Summary> {
  const { code, stdout, stderr } = await runGolog(['produce', '--addr', server.rpcAddr, '--json', ...args]);
  expect([code, stderr]).toEqual([0, '']);
  return JSON.parse(stdout) as Summary;
}

async function consume(file: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await runGolog(['consume', '--addr', server.rpcAddr, ...args], '', file);
  expect([code, stderr]).toEqual([0, '']);
}

describe('a file through the log', () => {
  it('comes out as it went in: a million lines of real text', async () => {
    const [original, copy] = [scratch.file('text'), scratch.file('text-copy')];
    const { lines, bytes } = writeCorpus(original, 1_000_000);
    expect(lines).toBeGreaterThanOrEqual(1_000_000);
    const summary = await produce(original);
    expect(summary).toMatchObject({ records: lines, bytes: bytes - lines, firstOffset: 0, lastOffset: lines - 1 });
    await consume(copy, '--from', 'earliest');
    expect(await sha256Of(copy)).toBe(await sha256Of(original));
  }, 120_000);

  it('comes out as it went in: bytes in chunks', async () => {
    const [original, copy] = [scratch.file('bytes'), scratch.file('bytes-copy')];
    writeFileSync(original, randomBytes(20_000_003));
    const { firstOffset, records } = await produce('--format', 'raw', '--chunk-bytes', '100000', original);
    expect(records).toBe(201);
    await consume(copy, '--from', String(firstOffset), '--format', 'raw');
    expect(await sha256Of(copy)).toBe(await sha256Of(original));
  }, 60_000);

  it('goes through again as NDJSON, the bytes that are not UTF-8 included', async () => {
    const [lines, copy, again] = [scratch.file('lines'), scratch.file('lines-copy'), scratch.file('again')];
    writeFileSync(lines, Buffer.concat([Buffer.from('text "quoted"\n\nzwölf\n'), Buffer.from([0xff, 0x00, 0x0a])]));
    await produce(lines);
    await consume(copy, '--from', '-4', '--format', 'ndjson');
    await produce('--format', 'ndjson', copy);
    await consume(again, '--from', '-4');
    expect(await sha256Of(again)).toBe(await sha256Of(lines));
  }, 60_000);

  it('ends a last line that has no newline with one, and says so', async () => {
    const { code, stderr } = await runGolog(['produce', '--addr', server.rpcAddr], 'first\nlast');
    expect(code).toBe(0);
    expect(stderr).toMatch(/the last line has no newline/);
    expect((await runGolog(['consume', '--addr', server.rpcAddr, '--from', '-2'])).stdout).toBe('first\nlast\n');
  }, 60_000);

  it('takes an empty file for no records', async () => {
    const { code, stdout } = await runGolog(['produce', '--addr', server.rpcAddr], '');
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^0 records, 0 bytes, .*no offsets/)]);
  }, 60_000);
});
