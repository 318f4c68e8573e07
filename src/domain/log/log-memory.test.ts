import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../adapters/checksum/crc32c.js';
import { MemoryDirectory } from '../../adapters/memory/memory-directory.js';
import type { File } from './directory.js';
import { dumpSegment } from './inspect/dump-segment.js';
import { Log } from './log.js';
import { toEpochMs, toIndex, toOffset, toTerm } from './offsets.js';
import { sealBatch, type RecordBatch } from './record-batch.js';
import { encodeRecord } from './record.js';
import { defaultRecordLimits, frameRecords } from './records.js';

const checksum = { crc32c, logId: new Uint8Array(16).fill(5) };
const { payload } = frameRecords([encodeRecord({ value: new Uint8Array(100) })], defaultRecordLimits);
const makeBatch = (number: number): RecordBatch =>
  sealBatch(
    {
      kind: 0,
      index: toIndex(number + 1),
      term: toTerm(1),
      baseOffset: toOffset(number),
      recordCount: 1,
      appendTimeMs: toEpochMs(number),
      payload,
    },
    checksum,
  );
const makeBatches = (count: number): RecordBatch[] => Array.from({ length: count }, (_, number) => makeBatch(number));
const everything = { until: toOffset(1e9), bytesMax: 1 };

/** Counts open files and reads. */
class CountingDirectory extends MemoryDirectory {
  openFiles = 0;
  reads = 0;
  bytesRead = 0;

  override async create(name: string): Promise<File> {
    return this.#counted(await super.create(name));
  }

  override async open(name: string): Promise<File> {
    return this.#counted(await super.open(name));
  }

  #counted(file: File): File {
    const read = file.read.bind(file);
    const close = file.close.bind(file);
    let open = true;
    this.openFiles++;
    file.read = async (position, length) => {
      this.reads++;
      this.bytesRead += length;
      return read(position, length);
    };
    file.close = async () => {
      if (open) this.openFiles--;
      open = false;
      await close();
    };
    return file;
  }
}

describe('a log of many segments', () => {
  const options = {
    ...checksum,
    segmentBytesMax: 5000,
    indexIntervalBytes: 500,
    openStoresMax: 3,
    indexCacheBytesMax: 6000,
  };

  it('keeps few files open and few indexes in memory, and closes all of them', async () => {
    const directory = new CountingDirectory();
    const log = await Log.open(directory, options);
    await log.append(makeBatches(1500));
    expect(log.segments).toBeGreaterThan(40);
    for (let round = 0; round < 3; round++) {
      await Promise.all(Array.from({ length: 1500 }, (_, offset) => log.read(toOffset(offset), everything)));
      await new Promise(setImmediate);
      // Plus the active store and the synced-index file.
      expect(directory.openFiles).toBeLessThanOrEqual(3 + 2);
      expect(log.indexCacheBytes).toBeLessThanOrEqual(6000);
      expect(log.indexCacheBytes).toBeGreaterThan(0);
    }
    await log.truncatePrefix(toOffset(700));
    await log.truncateSuffix(toIndex(900));
    await log.close();
    await new Promise(setImmediate);
    expect(directory.openFiles).toBe(0);
  });

  it('reads one index interval for a record, and a run of batches in one file read', async () => {
    const directory = new CountingDirectory();
    const log = await Log.open(directory, { ...checksum, segmentBytesMax: 1 << 20 });
    await log.append(makeBatches(20_000));
    const before = { ...directory };
    await log.read(toOffset(19_000), everything);
    await log.read(toOffset(100), everything);
    // The first read of a sealed segment loads its index.
    expect(directory.reads - before.reads).toBeLessThanOrEqual(3);
    await log.read(toOffset(200), everything);
    expect(directory.reads - before.reads).toBeLessThanOrEqual(4);
    const bytesRead = directory.bytesRead;
    await log.read(toOffset(300), everything);
    expect(directory.bytesRead - bytesRead).toBeLessThanOrEqual(4096 + 200);

    const { reads } = directory;
    const run = await log.read(toOffset(400), { until: toOffset(1e9), bytesMax: 256 << 10 });
    expect(directory.reads - reads).toBe(1);
    expect(run.length * (payload.length + 52)).toBeGreaterThan((256 << 10) - 5000);
    expect(new Set(run.map((batch) => batch.payload.buffer)).size).toBe(1);
  });

  it('serves reads while it grows and shrinks', async () => {
    const log = await Log.open(new MemoryDirectory(), options);
    await log.append(makeBatches(200));
    let reading = true;
    const readers = Array.from({ length: 4 }, async (_, reader) => {
      let count = 0;
      for (let offset: number = reader; reading; offset = (offset + 37) % 150) {
        const [batch] = await log.read(toOffset(offset), everything);
        expect(batch.baseOffset).toBe(offset);
        if (++count % 50 === 0) await new Promise(setImmediate);
      }
      return count;
    });
    for (let round = 0; round < 40; round++) {
      await log.truncateSuffix(toIndex(151 + (round % 40)));
      await log.append(makeBatches(200).slice(log.lastIndex));
      await log.sync();
      if (round % 10 === 0) await new Promise(setImmediate);
    }
    reading = false;
    expect((await Promise.all(readers)).every((count) => count > 0)).toBe(true);
    expect(log.quarantined).toEqual([]);
  });
});

describe('dumpSegment', () => {
  it('shows the batches of a store and the bad bytes between them', async () => {
    const directory = new MemoryDirectory();
    const log = await Log.open(directory, checksum);
    await log.append(makeBatches(4));
    await log.close();
    const [name] = (await directory.list()).filter((fileName) => fileName.endsWith('.store'));
    const file = await directory.open(name);
    const size = await file.size();
    const position = 52 + (52 + payload.length);
    await file.write(position + 60, [Uint8Array.of(1, 2, 3)]);
    await file.write(size, [Uint8Array.of(9, 9)]);
    const shown = [];
    for await (const item of dumpSegment(directory, name, { crc32c })) shown.push(item);
    expect(shown[0]).toEqual({
      fileName: name,
      base: { offset: 0, index: 1, term: 0 },
      logId: checksum.logId,
      bytes: size + 2,
    });
    expect(shown.slice(1)).toMatchObject([
      { position: 52, valid: true, header: { index: 1, baseOffset: 0 } },
      { position, valid: false, end: position + 52 + payload.length },
      { valid: true, header: { index: 3 }, payload },
      { valid: true, header: { index: 4 } },
      { position: size, valid: false, end: size + 2 },
    ]);
  });
});
