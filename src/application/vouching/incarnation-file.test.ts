import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../adapters/checksum/crc32c.js';
import { MemoryDirectory } from '../../adapters/memory/memory-directory.js';
import { seededRandom } from '../../adapters/memory/seeded-random.js';
import { IncarnationFile } from './incarnation-file.js';

function starts() {
  const directory = new MemoryDirectory();
  const next = seededRandom(1);
  const random = (n: number): number => Math.floor(next() * n);
  const start = (): Promise<IncarnationFile> => IncarnationFile.open(directory, crc32c, random, true);
  return { directory, start };
}

describe('IncarnationFile', () => {
  it('knows its earlier starts, but none of a copy, for as long as it remembers them', async () => {
    const { start } = starts();
    const seen: number[] = [];
    for (let i = 0; i < 40; i++) {
      const file = await start();
      expect(file.doubt).toBe(i === 0 ? 'incarnation lost' : undefined);
      await file.settle();
      expect(file.current).toBeGreaterThan(seen.at(-1) ?? 0);
      expect(seen.every((earlier) => file.mayHaveBeen(earlier))).toBe(true);
      for (const earlier of seen.slice(-10)) expect(file.mayHaveBeen(earlier + 1)).toBe(false);
      expect(file.mayHaveBeen(file.current)).toBe(false);
      seen.push(file.current);
    }
  });

  it('is read back, however often the node was started', async () => {
    const { start } = starts();
    const first = await start();
    // Four thousand million starts.
    await first.raiseAbove(2 ** 51);
    await first.settle();
    for (let i = 0; i < 20; i++) {
      const file = await start();
      expect(file.doubt).toBeUndefined();
      expect(file.current).toBeGreaterThan(2 ** 51);
    }
  });

  it.each([0, 1])('goes on from the earlier start if slot %i of the file is damaged', async (slot) => {
    const { directory, start } = starts();
    const seen: number[] = [];
    for (let i = 0; i < 4; i++) {
      const file = await start();
      await file.settle();
      seen.push(file.current);
    }
    const file = await directory.open('incarnation');
    await file.write(slot * 4096 + 100, [new Uint8Array([1, 2, 3])]);
    const after = await start();
    expect(after.doubt).toBeUndefined();
    expect(after.current).toBeGreaterThan(seen[2]);
    expect(after.mayHaveBeen(seen[2])).toBe(true);
  });
});
