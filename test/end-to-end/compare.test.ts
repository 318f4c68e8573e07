import { cpSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { openDataDirectory } from '../../src/adapters/file-system/data-directory.js';
import { HardStateFile } from '../../src/domain/log/hard-state-file.js';
import { Log } from '../../src/domain/log/log.js';
import { toIndex, toOffset, toTerm } from '../../src/domain/log/offsets.js';
import { BatchKind, sealBatch, type RecordBatch } from '../../src/domain/log/record-batch.js';
import type { CompareReport } from '../../src/infrastructure/offline.js';
import { makeBatch } from '../crash/workload.js';
import { compile, runGolog, Scratch } from './golog-process.js';

const scratch = new Scratch();
const origin = scratch.file('origin');

interface Node {
  readonly name: string;
  readonly entries: number;
  readonly committed: number;
  readonly segmentBytesMax?: number;
  readonly retainFrom?: number;
  /** From this index on the entries are another leader's. */
  readonly otherFrom?: number;
  readonly ofAnotherLog?: boolean;
}

/** Entry `index` of the cluster's log; every tenth is a no-op. */
function entry(index: number, offset: number, generation: number, logId: Uint8Array): RecordBatch {
  const count = index % 10 === 0 ? 0 : 2;
  const batch = makeBatch(index, offset, count, 300, generation);
  return sealBatch({ ...batch, kind: count > 0 ? BatchKind.records : BatchKind.noop }, { crc32c, logId });
}

/** A data directory such as a node of the cluster leaves when it stops. */
async function makeNode(node: Node): Promise<string> {
  const path = scratch.file(node.name);
  if (!node.ofAnotherLog) cpSync(origin, path, { recursive: true });
  const data = await openDataDirectory(path, { create: true });
  const log = await Log.open(data.log, {
    logId: data.logId,
    crc32c,
    segmentBytesMax: node.segmentBytesMax ?? 8 << 10,
  });
  for (let index = 1; index <= node.entries; index++)
    await log.append([entry(index, log.endOffset, index >= (node.otherFrom ?? Infinity) ? 1 : 0, data.logId)]);
  await log.sync();
  if (node.retainFrom !== undefined) await log.truncatePrefix(toOffset(node.retainFrom));
  await log.close();
  const hardState = await HardStateFile.open(data.raft, crc32c);
  await hardState.save({ term: toTerm(3), vote: 0, commit: toIndex(node.committed) });
  await hardState.close();
  await data.close();
  return path;
}

async function compared(...paths: string[]): Promise<{ code: number | null; report: CompareReport }> {
  const { code, stdout, stderr } = await runGolog(['verify', '--json', '--compare', ...paths]);
  expect(stderr).toBe('');
  return { code, report: JSON.parse(stdout) as CompareReport };
}

let leader: string;
let lagging: string;
let trimmed: string;

beforeAll(async () => {
  compile();
  await (await openDataDirectory(origin, { create: true })).close();
  leader = await makeNode({ name: 'leader', entries: 200, committed: 200 });
  lagging = await makeNode({ name: 'lagging', entries: 180, committed: 150, segmentBytesMax: 3000 });
  trimmed = await makeNode({ name: 'trimmed', entries: 200, committed: 195, retainFrom: 100 });
}, 120_000);
afterAll(() => scratch.remove());

describe('golog verify --compare', () => {
  it('finds nodes identical that lag, trimmed their log, and cut it into other segments', async () => {
    const { code, report } = await compared(leader, lagging, trimmed);
    expect([code, report.differences]).toEqual([0, []]);
    const first = report.comparison!.extents[2].firstIndex!;
    expect(first).toBeGreaterThan(20);
    expect(report.comparison).toMatchObject({
      common: { firstIndex: first, lastIndex: 150 },
      batches: 151 - first,
      compared: 195,
      extents: [{ lastIndex: 200 }, { lastIndex: 180 }, { lastIndex: 200 }],
    });
    const { stdout } = await runGolog(['verify', leader, '--compare', lagging, trimmed]);
    expect(stdout).toMatch(/identical: entries \d+ to 150 are the same in all directories: \d+ records in \d+ batches/);
  }, 60_000);

  it('names the entry that is not the same, and who has what', async () => {
    const diverged = await makeNode({ name: 'diverged', entries: 200, committed: 190, otherFrom: 171 });
    const { code, report } = await compared(lagging, leader, diverged);
    expect([code, report.comparison!.difference?.index]).toEqual([1, 171]);
    expect(report.comparison!.difference!.found.map(({ log }) => log)).toEqual([1, 2]);
    const { stdout } = await runGolog(['verify', '--compare', lagging, leader, diverged]);
    expect(stdout).toMatch(
      /DIFFERENCE: the committed entries at index 171 differ: .*leader has offset 306.*diverged has/,
    );
  }, 60_000);

  it('only notes a conflict that is not committed', async () => {
    const stale = await makeNode({ name: 'stale', entries: 160, committed: 150, otherFrom: 151 });
    const { code, stdout } = await runGolog(['verify', '--compare', leader, stale]);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/note: .*stale: entries from index 151 on conflict/)]);
  }, 60_000);

  it('tells another log, nothing in common, and wrong usage', async () => {
    const foreign = await makeNode({ name: 'foreign', entries: 10, committed: 10, ofAnotherLog: true });
    const other = await runGolog(['verify', '--compare', leader, foreign]);
    expect([other.code, other.stdout]).toEqual([1, expect.stringMatching(/DIFFERENCE: .*foreign holds log/)]);
    const early = await makeNode({ name: 'early', entries: 20, committed: 20 });
    const apart = await runGolog(['verify', '--compare', early, trimmed]);
    expect([apart.code, apart.stdout]).toEqual([1, expect.stringMatching(/nothing was compared/)]);
    expect((await runGolog(['verify', '--compare', leader])).code).toBe(2);
    expect((await runGolog(['verify'])).code).toBe(2);
  }, 60_000);
});
