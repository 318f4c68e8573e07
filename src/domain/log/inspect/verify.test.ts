import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../../adapters/checksum/crc32c.js';
import { indexFileName, storeFileName } from '../file-names.js';
import { toOffset } from '../offsets.js';
import { verifyLog } from './verify.js';
import {
  append,
  bytesOf,
  change,
  cutAt,
  directory,
  fill,
  flip,
  position,
  store,
} from '../../../../test/log/damage-bench.js';

describe('verifyLog', () => {
  const verify = async (): Promise<{ problems: string[]; remarks: string[]; records: number; tornBytes: number }> => {
    const sum = { problems: [] as string[], remarks: [] as string[], records: 0, tornBytes: 0 };
    for await (const { problems, remarks, records, tornBytes } of verifyLog(directory, { crc32c })) {
      sum.problems.push(...problems);
      sum.remarks.push(...remarks);
      sum.records += records;
      sum.tornBytes += tornBytes;
    }
    return sum;
  };

  it('finds nothing in a good log, and counts its records', async () => {
    await fill(20);
    expect(await verify()).toEqual({ problems: [], remarks: [], records: 40, tornBytes: 0 });
  });

  it('finds every single wrong byte of a store', async () => {
    await fill(7);
    const last = storeFileName(toOffset(12));
    const good = await bytesOf(last);
    for (const name of [store, last])
      for (let at = 0; at < good.length; at += 1) {
        await change(name, flip(at));
        const { problems, tornBytes } = await verify();
        expect([at, problems.length > 0 || tornBytes > 0]).toEqual([at, true]);
        await change(name, flip(at));
      }
  });

  it('distinguishes a torn end from damage, and a lost index from lost data', async () => {
    await fill(20);
    await change(storeFileName(toOffset(36)), append(1, 2, 3));
    await directory.remove(indexFileName(toOffset(12)));
    const { problems, remarks, tornBytes } = await verify();
    expect([problems, tornBytes]).toEqual([[], 3]);
    expect(remarks).toHaveLength(2);
  });

  it('detects a log that ends too early, by the synced index', async () => {
    await fill(5);
    await change(store, cutAt(position(4)));
    expect(await verify()).toMatchObject({ problems: ['a clean end below the durable index'] });
    await change(store, append(1, 2, 3));
    expect(await verify()).toMatchObject({ problems: [expect.stringContaining('short header')], tornBytes: 0 });
  });

  it('names a missing segment', async () => {
    await fill(20);
    await directory.remove(storeFileName(toOffset(12)));
    expect((await verify()).problems).toEqual([expect.stringContaining('the previous segment ends at offset 12')]);
  });
});
