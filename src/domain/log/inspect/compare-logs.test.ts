import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../../adapters/checksum/crc32c.js';
import { MemoryDirectory } from '../../../adapters/memory/memory-directory.js';
import { compareLogs, type ComparedLog, type LogComparison } from './compare-logs.js';
import { Log } from '../log.js';
import { toIndex, toOffset, toTerm } from '../offsets.js';
import { sealBatch, type RecordBatch } from '../record-batch.js';
import { logOptions, makeBatch } from '../../../../test/crash/workload.js';

const checksum = { crc32c, logId: logOptions.logId };

/** Returns entries 1 to `count`, every fifth a control batch; those from `from` on have another leader's term. */
function history(count: number, from = Infinity): RecordBatch[] {
  let offset = 0;
  return Array.from({ length: count }, (_, number) => {
    const records = number % 5 === 4 ? 0 : 3;
    const batch = makeBatch(number + 1, offset, records, 100, number + 1 >= from ? 1 : 0);
    offset += records;
    return batch;
  });
}

async function stored(
  batches: readonly RecordBatch[],
  committed: number,
  options: { segmentBytesMax?: number; startAt?: number } = {},
): Promise<ComparedLog> {
  const directory = new MemoryDirectory();
  const { segmentBytesMax = 3000, startAt } = options;
  const log = await Log.open(directory, { ...logOptions, segmentBytesMax });
  await log.append(batches);
  if (startAt !== undefined) await log.truncatePrefix(toOffset(startAt));
  await log.close();
  return { directory, committedIndex: toIndex(committed) };
}

function compare(...logs: ComparedLog[]): Promise<LogComparison> {
  const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
  return compareLogs(logs, { checksum, sameBytes });
}

const range = (firstIndex: number, lastIndex: number) => ({ firstIndex, lastIndex });

describe('compareLogs', () => {
  it('finds no difference between logs with other segments, another start, or a lag', async () => {
    const all = history(60);
    const found = await compare(
      await stored(all, 60),
      await stored(all, 55, { segmentBytesMax: 1100 }),
      await stored(all.slice(0, 50), 40, { startAt: 30 }),
    );
    const third = found.extents[2].firstIndex!;
    expect(third).toBeGreaterThan(1);
    const payloads = all.slice(third - 1, 40).map(({ payload }) => payload);
    expect(found).toMatchObject({
      common: range(third, 40),
      batches: 41 - third,
      payloadCrc32c: crc32c(Buffer.concat(payloads)),
      compared: 55,
      difference: undefined,
      extents: [range(1, 60), range(1, 60), range(third, 50)],
    });
    expect(found.records).toBe(payloads.filter(({ length }) => length > 0).length * 3);
  });

  it('reports the first committed entry that differs, also when a third log lags', async () => {
    const found = await compare(
      await stored(history(40), 38),
      await stored(history(10), 5),
      await stored(history(40, 23), 30),
    );
    const [batch] = history(40).slice(22);
    expect(found.common).toEqual(range(1, 5));
    expect(found.difference).toMatchObject({
      index: 23,
      found: [
        { log: 0, term: 1, offset: batch.baseOffset, recordCount: 3 },
        { log: 2, term: 2, offset: batch.baseOffset, recordCount: 3 },
      ],
    });
  });

  it('finds a difference in a payload alone, at the last committed entry', async () => {
    const changed = history(20);
    const payload = changed[18].payload.slice();
    payload[50] ^= 1;
    changed[18] = sealBatch({ ...changed[18], payload }, checksum);
    const found = await compare(await stored(history(19), 19), await stored(changed.slice(0, 19), 19));
    expect(found.difference?.index).toBe(19);
    expect((await compare(await stored(history(19), 18), await stored(changed.slice(0, 19), 18))).difference).toBe(
      undefined,
    );
  });

  it('only reports a conflict between uncommitted entries', async () => {
    const found = await compare(
      await stored(history(40), 40),
      await stored(history(30, 25), 24),
      await stored(history(40), 40),
    );
    expect(found).toMatchObject({ difference: undefined, common: range(1, 24), compared: 40 });
    expect(found.extents.map(({ conflictsFrom }) => conflictsFrom)).toEqual([undefined, 25, undefined]);
  });

  it('reports logs with nothing in common, and an empty log without extent', async () => {
    const empty = await stored([], 0);
    const found = await compare(await stored(history(10), 10), empty);
    expect(found).toMatchObject({ common: undefined, batches: 0, compared: 0, difference: undefined });
    const log = await Log.open(empty.directory, logOptions);
    await log.reset({ offset: toOffset(90), index: toIndex(40), term: toTerm(1) });
    await log.close();
    expect((await compare(await stored(history(10), 10), empty)).extents[1].firstIndex).toBe(undefined);
  });

  it('stops at damaged bytes and reports them', async () => {
    const damaged = await stored(history(20), 20);
    const [name] = (await damaged.directory.list()).filter((each) => each.endsWith('.store'));
    const file = await damaged.directory.open(name);
    await file.write(1000, [Uint8Array.of(1, 2, 3)]);
    const found = await compare(await stored(history(20), 20), damaged);
    expect(found.extents[1]).toMatchObject({ firstIndex: 1, stoppedBy: expect.stringContaining(name) });
    expect(found.extents[1].lastIndex).toBeLessThan(4);
    expect(found.extents[0].lastIndex).toBe(20);
  });

  it('reads batches longer than a chunk, and many in one', async () => {
    const big = [
      sealBatch({ ...makeBatch(1, 0, 1, 10, 0), payload: new Uint8Array(3 << 20).fill(7) }, checksum),
      ...Array.from({ length: 3000 }, (_, n) => makeBatch(n + 2, n + 1, 1, 700, 0)),
    ];
    const log = (segmentBytesMax: number) => stored(big, 3001, { segmentBytesMax });
    const found = await compare(await log(8 << 20), await log(1 << 20));
    expect(found).toMatchObject({ common: range(1, 3001), records: 3001, compared: 3001 });
  });
});
