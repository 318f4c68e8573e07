import { describe, expect, it } from '@jest/globals';
import { MemoryDirectory } from '../../adapters/memory/memory-directory.js';
import { IndexOutOfRangeError, OffsetOutOfRangeError } from './errors.js';
import { storeFileName } from './file-names.js';
import { InvariantError } from './invariant.js';
import { Log } from './log.js';
import { toIndex, toOffset, toTerm } from './offsets.js';
import type { LogBoundary } from './log-boundary.js';
import { verifyLog } from './inspect/verify.js';
import { logOptions, makeBatch } from '../../../test/crash/workload.js';

const until = toOffset(Number.MAX_SAFE_INTEGER);
const boundary = (offset: number, index: number, term: number): LogBoundary => ({
  offset: toOffset(offset),
  index: toIndex(index),
  term: toTerm(term),
});

/** Opens a log with batches 1 to `count` of three records each, in several segments. */
async function filled(directory: MemoryDirectory, count = 12): Promise<Log> {
  const log = await Log.open(directory, logOptions);
  for (let index = 1; index <= count; index++) await log.append([makeBatch(index, (index - 1) * 3, 3, 300, 0)]);
  await log.sync();
  expect(log.segments).toBeGreaterThan(2);
  return log;
}

const ends = (log: Log): number[] => [
  log.startOffset,
  log.startIndex,
  log.lastIndex,
  log.lastTerm,
  log.endOffset,
  log.segments,
];

async function expectEmptyAt({ offset, index, term }: LogBoundary, log: Log): Promise<void> {
  expect(ends(log)).toEqual([offset, index, index - 1, term, offset, 1]);
  expect(log.quarantined).toEqual([]);
  expect(await log.read(offset, { until, bytesMax: 1000 })).toEqual([]);
  expect(await log.readEntries(index, { until: toIndex(1e6), bytesMax: 1000 })).toEqual([]);
  expect(await log.termAt(toIndex(index - 1))).toBe(term);
  if (offset > 0)
    await expect(log.read(toOffset(offset - 1), { until, bytesMax: 1 })).rejects.toThrow(OffsetOutOfRangeError);
  await expect(log.readEntries(toIndex(index - 1), { until: index, bytesMax: 1 })).rejects.toThrow(
    IndexOutOfRangeError,
  );
}

describe('Log.reset', () => {
  it.each([
    ['far after the end', boundary(1000, 500, 7)],
    ['at the end, after control entries that this log lacks', boundary(36, 20, 3)],
    ['within entries that conflict', boundary(10, 8, 3)],
    ['at an offset below the log end', boundary(2, 50, 3)],
    ['under the name of a segment', boundary(9, 6, 3)],
    ['where the log begins', boundary(0, 1, 0)],
  ])('restarts the log %s', async (_name, at) => {
    const directory = new MemoryDirectory();
    let log = await filled(directory);
    await log.reset(at);
    await expectEmptyAt(at, log);
    expect((await directory.list()).filter((name) => /\.(store|index)$/.test(name))).toEqual([
      storeFileName(at.offset),
    ]);
    await log.close();

    log = await Log.open(directory, { ...logOptions, durableIndex: toIndex(at.index - 1) });
    await expectEmptyAt(at, log);
    const more = Array.from({ length: 9 }, (_, n) => makeBatch(at.index + n, at.offset + n * 2, 2, 500, 9));
    await log.append(more);
    await log.sync();
    expect(log.segments).toBeGreaterThan(1);
    expect(await log.readEntries(at.index, { until: toIndex(at.index + 2), bytesMax: 5000 })).toEqual(more.slice(0, 2));
    await log.close();
    for await (const report of verifyLog(directory, logOptions)) expect(report.problems).toEqual([]);
  });

  it('serves a read in flight or rejects it as out of range', async () => {
    const directory = new MemoryDirectory();
    const log = await filled(directory);
    const read = log.read(toOffset(3), { until, bytesMax: 4000 }).then(
      (batches) => expect(batches[0].baseOffset).toBe(3),
      (error: unknown) => expect(error).toBeInstanceOf(OffsetOutOfRangeError),
    );
    await Promise.all([read, log.reset(boundary(4, 40, 2))]);
    await expect(log.read(toOffset(3), { until, bytesMax: 1 })).rejects.toThrow(OffsetOutOfRangeError);
  });

  it('drops damaged ranges with the rest, also when the first store is missing', async () => {
    const directory = new MemoryDirectory();
    await (await filled(directory)).close();
    const [first] = (await directory.list()).filter((name) => name.endsWith('.store'));
    await directory.remove(first);
    let log = await Log.open(directory, logOptions);
    expect(log.quarantined).toHaveLength(1);
    await log.reset(boundary(2, 3, 2));
    await expectEmptyAt(boundary(2, 3, 2), log);
    await log.close();
    log = await Log.open(directory, logOptions);
    await expectEmptyAt(boundary(2, 3, 2), log);
  });

  it('clears the damage at the end', async () => {
    const directory = new MemoryDirectory();
    await (await filled(directory)).close();
    let log = await Log.open(directory, { ...logOptions, durableIndex: toIndex(30) });
    expect(() => log.assertAppendable()).toThrow('appends are refused');
    await log.reset(boundary(90, 41, 2));
    log.assertAppendable();
    await log.close();
    log = await Log.open(directory, { ...logOptions, durableIndex: toIndex(40) });
    await expectEmptyAt(boundary(90, 41, 2), log);
  });

  it('does not mistake a lost segment for a reset when entries after the log start were durable', async () => {
    const directory = new MemoryDirectory();
    const log = await filled(directory);
    await log.truncatePrefix(toOffset(20));
    const { startOffset, startIndex } = log;
    await log.close();
    for (const name of (await directory.list()).filter((each) => each.endsWith('.store'))) await directory.remove(name);
    const other = new MemoryDirectory();
    await (await filled(other, 12)).close();
    const [old] = (await other.list()).filter((each) => each.endsWith('.store'));
    const from = await other.open(old);
    await (await directory.create(old)).write(0, [await from.read(0, await from.size())]);
    const damaged = await Log.open(directory, logOptions);
    expect(damaged.quarantined.length).toBeGreaterThan(0);
    expect([damaged.startOffset, damaged.startIndex]).toEqual([startOffset, startIndex]);
    expect(await directory.list()).toContain(old);
  });

  it('rejects a boundary below the log start', async () => {
    const directory = new MemoryDirectory();
    const log = await filled(directory);
    await log.truncatePrefix(toOffset(20));
    await expect(log.reset(boundary(3, 2, 1))).rejects.toThrow(InvariantError);
    await log.append([makeBatch(13, 36, 1, 10, 0)]);
  });
});
