import { describe, expect, it } from '@jest/globals';
import { toOffset } from '../domain/log/offsets.js';
import { type Reading, type ReadRange, SharedReads } from './shared-reads.js';

const range: ReadRange = { offset: toOffset(7), until: toOffset(8), bytesMax: 1_000 };

function readingOf(storedBytes: number): Reading {
  return { result: { batches: [], logStartOffset: toOffset(0), highWatermark: range.until }, storedBytes };
}

describe('reads that followers share', () => {
  it('are joined by those that ask for the same, while they run and afterwards', async () => {
    const reads = new SharedReads();
    const reading = readingOf(100);
    let end = (_: Reading): void => undefined;
    reads.share(range, new Promise((resolve) => (end = resolve)));
    const early = reads.join({ ...range });
    expect(reads.join({ ...range, offset: toOffset(6) })).toBeUndefined();
    expect(reads.join({ ...range, until: toOffset(9) })).toBeUndefined();
    expect(reads.join({ ...range, bytesMax: 999 })).toBeUndefined();
    end(reading);
    expect(await early).toBe(reading);
    expect(await reads.join(range)).toBe(reading);
  });

  it('serve 64 followers', () => {
    const reads = new SharedReads();
    reads.share(range, Promise.resolve(readingOf(1)));
    for (let joined = 1; joined < 64; joined += 1) expect(reads.join(range)).toBeDefined();
    expect(reads.join(range)).toBeUndefined();
  });

  it('are not shared when they are large or fail, and are forgotten then', async () => {
    const reads = new SharedReads();
    for (const reading of [Promise.resolve(readingOf(64 * 1024 + 1)), Promise.reject<Reading>(new Error('damaged'))]) {
      reads.share(range, reading);
      expect(await reads.join(range)).toBeUndefined();
      expect(reads.join(range)).toBeUndefined();
    }
  });
});
