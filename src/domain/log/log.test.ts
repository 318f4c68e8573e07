import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../adapters/checksum/crc32c.js';
import { MemoryDirectory } from '../../adapters/memory/memory-directory.js';
import type { File } from './directory.js';
import { IndexOutOfRangeError, LogClosedError, OffsetOutOfRangeError } from './errors.js';
import { InvariantError } from './invariant.js';
import { Log, type LogOptions } from './log.js';
import { toEpochMs, toIndex, toOffset, toTerm } from './offsets.js';
import { BatchKind, sealBatch, type RecordBatch } from './record-batch.js';
import { encodeRecord } from './record.js';
import { defaultRecordLimits, frameRecords } from './records.js';

const logId = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
const checksum = { crc32c, logId };
const text = new TextEncoder();
const untilEnd = toOffset(Number.MAX_SAFE_INTEGER);

class Writer {
  constructor(
    public index = 1,
    public offset = 0,
  ) {}

  batch(count: number, options: { term?: number; time?: number; bytes?: number } = {}): RecordBatch {
    const { term = 1, time = 1000 + this.index, bytes = 20 } = options;
    const records = Array.from({ length: count }, (_, i) =>
      encodeRecord({ value: text.encode(`record ${this.offset + i} `.padEnd(bytes, '.')) }),
    );
    const batch = sealBatch(
      {
        kind: count > 0 ? BatchKind.records : BatchKind.noop,
        index: toIndex(this.index),
        term: toTerm(term),
        baseOffset: toOffset(this.offset),
        recordCount: count,
        appendTimeMs: toEpochMs(time),
        payload: count > 0 ? frameRecords(records, defaultRecordLimits).payload : new Uint8Array(0),
      },
      checksum,
    );
    this.index++;
    this.offset += count;
    return batch;
  }
}

/** Holds back the result of one file read until it is released. */
class PausedReadDirectory extends MemoryDirectory {
  #pause: Promise<void> | undefined;

  holdNextRead(): () => void {
    let release = (): void => undefined;
    this.#pause = new Promise((resolve) => (release = resolve));
    return release;
  }

  override async create(name: string): Promise<File> {
    return this.#pausable(await super.create(name));
  }

  override async open(name: string): Promise<File> {
    return this.#pausable(await super.open(name));
  }

  #pausable(file: File): File {
    const read = file.read.bind(file);
    file.read = async (position, length) => {
      const pause = this.#pause;
      this.#pause = undefined;
      const bytes = await read(position, length);
      await pause;
      return bytes;
    };
    return file;
  }
}

function open(directory: MemoryDirectory, options: Partial<LogOptions> = {}): Promise<Log> {
  return Log.open(directory, { logId, crc32c, ...options });
}

async function readAll(log: Log, bytesMax = 200): Promise<RecordBatch[]> {
  const all: RecordBatch[] = [];
  let from = log.startOffset;
  while (from < log.endOffset) {
    const batches = await log.read(from, { until: untilEnd, bytesMax });
    all.push(...batches);
    const last = batches[batches.length - 1];
    from = toOffset(last.baseOffset + last.recordCount);
  }
  return all;
}

const shape = ({ index, baseOffset, recordCount, term }: RecordBatch): number[] => [
  index,
  baseOffset,
  recordCount,
  term,
];

describe('Log', () => {
  it('is empty when it is created', async () => {
    const log = await open(new MemoryDirectory());
    expect([log.startOffset, log.endOffset, log.startIndex, log.lastIndex, log.lastTerm]).toEqual([0, 0, 1, 0, 0]);
    expect(await log.read(toOffset(0), { until: untilEnd, bytesMax: 100 })).toEqual([]);
    await expect(log.read(toOffset(1), { until: untilEnd, bytesMax: 100 })).rejects.toThrow(OffsetOutOfRangeError);
    expect(await log.offsetSince(toEpochMs(5))).toBe(0);
    await log.close();
  });

  it('returns the batches byte for byte, across segments and after reopening', async () => {
    const directory = new MemoryDirectory();
    const log = await open(directory, { segmentBytesMax: 1000, indexIntervalBytes: 200 });
    const writer = new Writer();
    const batches = Array.from({ length: 60 }, (_, n) => writer.batch(n % 7));
    await log.append(batches.slice(0, 25));
    await log.append(batches.slice(25));
    await log.sync();
    const records = batches.filter(({ recordCount }) => recordCount > 0);
    expect(log.segments).toBeGreaterThan(3);
    expect(await readAll(log)).toEqual(records);
    await log.close();

    const reopened = await open(directory, { segmentBytesMax: 1000, indexIntervalBytes: 200 });
    expect(reopened.recovery).toMatchObject({ torn: undefined, quarantined: [], indexesRebuilt: 0 });
    expect(await readAll(reopened)).toEqual(records);
    expect([reopened.endOffset, reopened.lastIndex]).toEqual([writer.offset, writer.index - 1]);
    for (let offset = 0; offset < writer.offset; offset++) {
      const [batch] = await reopened.read(toOffset(offset), { until: untilEnd, bytesMax: 1 });
      expect(batch.baseOffset <= offset && offset < batch.baseOffset + batch.recordCount).toBe(true);
    }
    for (let index = 1; index < writer.index; index++) {
      const limits = { until: toIndex(index + 1), bytesMax: 1000 };
      expect(await reopened.readEntries(toIndex(index), limits)).toEqual([batches[index - 1]]);
    }
    await expect(reopened.readEntries(toIndex(99), { until: toIndex(100), bytesMax: 1 })).rejects.toThrow(
      IndexOutOfRangeError,
    );
  });

  it('stops at the limits of a read', async () => {
    const log = await open(new MemoryDirectory());
    const writer = new Writer();
    await log.append([writer.batch(3), writer.batch(0), writer.batch(2), writer.batch(4)]);
    const read = async (from: number, until: number, bytesMax: number): Promise<number[]> =>
      (await log.read(toOffset(from), { until: toOffset(until), bytesMax })).map(({ baseOffset }) => baseOffset);
    expect(await read(0, 9, 1e6)).toEqual([0, 3, 5]);
    expect(await read(1, 5, 1e6)).toEqual([0, 3]);
    expect(await read(4, 9, 1)).toEqual([3]);
    expect(await read(9, 9, 1)).toEqual([]);
    expect(await read(5, 5, 1e6)).toEqual([]);
  });

  it('rolls by age according to the append times of the batches', async () => {
    const writer = new Writer();
    const batches = [0, 10, 99, 100, 150, 250].map((time) => writer.batch(1, { time }));
    const segments = async (groups: RecordBatch[][]): Promise<string[]> => {
      const directory = new MemoryDirectory();
      const log = await open(directory);
      log.rollAfter(100);
      for (const group of groups) await log.append(group);
      return (await directory.list()).filter((name) => name.endsWith('.store'));
    };
    const names = ['0', '3', '5'].map((base) => `${base.padStart(20, '0')}.store`);
    expect(await segments([batches])).toEqual(names);
    expect(await segments(batches.map((batch) => [batch]))).toEqual(names);
  });

  it('does not roll a segment without records, since the next one would have the same name', async () => {
    const directory = new MemoryDirectory();
    const log = await open(directory, { segmentBytesMax: 120 });
    log.rollAfter(5);
    const writer = new Writer();
    for (let n = 0; n < 10; n++) await log.append([writer.batch(0, { time: n * 100 })]);
    await log.append([writer.batch(1, { time: 5000 })]);
    expect(log.segments).toBe(1);
    await log.append([writer.batch(1, { time: 5000 })]);
    expect(log.segments).toBe(2);
  });

  it('rejects batches that are not next, and overlapping calls', async () => {
    const log = await open(new MemoryDirectory());
    const writer = new Writer();
    await log.append([writer.batch(2, { term: 3 })]);
    await expect(log.append([new Writer(2, 3).batch(1, { term: 3 })])).rejects.toThrow(InvariantError);
    await expect(log.append([new Writer(3, 2).batch(1, { term: 3 })])).rejects.toThrow(InvariantError);
    await expect(log.append([new Writer(2, 2).batch(1, { term: 2 })])).rejects.toThrow(InvariantError);
    const first = log.append([writer.batch(1, { term: 3 })]);
    await expect(log.sync()).rejects.toThrow(InvariantError);
    await first;
    await log.sync();
    expect(log.endOffset).toBe(3);
  });

  it('finds the first record appended at or after a time', async () => {
    const log = await open(new MemoryDirectory(), { segmentBytesMax: 400, indexIntervalBytes: 150 });
    const writer = new Writer();
    const times = [5, 10, 10, 30, 20, 20, 40, 41, 42, 42, 60, 50, 70, 70, 71];
    for (const time of times) await log.append([writer.batch(1, { time }), writer.batch(0, { time: 1000 })]);
    expect(log.segments).toBeGreaterThan(3);
    for (let time = 0; time < 80; time++) {
      const expected = times.findIndex((appended) => appended >= time);
      expect([time, await log.offsetSince(toEpochMs(time))]).toEqual([time, expected < 0 ? times.length : expected]);
    }
  });

  it('returns the term of an entry', async () => {
    const log = await open(new MemoryDirectory(), { segmentBytesMax: 300 });
    const writer = new Writer();
    const terms = [1, 1, 2, 2, 2, 5, 5, 7, 7, 7];
    for (const term of terms) await log.append([writer.batch(2, { term })]);
    expect(await Promise.all([0, 1, 2, 3, 5, 6, 7, 8, 10].map((index) => log.termAt(toIndex(index))))).toEqual([
      0, 1, 1, 2, 2, 5, 5, 7, 7,
    ]);
    await expect(log.termAt(toIndex(11))).rejects.toThrow(IndexOutOfRangeError);
  });

  it('rejects reads after closing', async () => {
    const log = await open(new MemoryDirectory());
    await log.close();
    await log.close();
    await expect(log.read(toOffset(0), { until: untilEnd, bytesMax: 1 })).rejects.toThrow(LogClosedError);
    await expect(log.append([new Writer().batch(1)])).rejects.toThrow(LogClosedError);
  });
});

describe('Log.truncateSuffix', () => {
  it.each([1, 2, 7, 13, 14, 15, 29, 30, 31])(
    'drops entries from index %i on, and the log continues from there',
    async (from) => {
      const directory = new MemoryDirectory();
      const options = { segmentBytesMax: 500, indexIntervalBytes: 150 };
      let log = await open(directory, options);
      const writer = new Writer();
      const batches = Array.from({ length: 30 }, (_, n) => writer.batch(n % 3, { term: 1 + (n >> 3), time: 100 + n }));
      await log.append(batches);
      await log.truncateSuffix(toIndex(from));
      const stored = batches.slice(0, from - 1);
      const end = stored.reduce((sum, { recordCount }) => sum + recordCount, 0);
      expect([log.lastIndex, log.endOffset, log.lastTerm]).toEqual([from - 1, end, stored.at(-1)?.term ?? 0]);
      const newestStored = stored.filter(({ recordCount }) => recordCount > 0).at(-1)?.appendTimeMs ?? 0;
      expect(await log.offsetSince(toEpochMs(newestStored + 1))).toBe(end);

      const again = new Writer(from, end);
      const added = Array.from({ length: 12 }, () => again.batch(2, { term: 9, time: 500 }));
      await log.append(added);
      await log.sync();
      const expected = [...stored, ...added].filter(({ recordCount }) => recordCount > 0).map(shape);
      expect((await readAll(log)).map(shape)).toEqual(expected);
      expect(await log.offsetSince(toEpochMs(500))).toBe(end);
      await log.close();
      log = await open(directory, options);
      expect(log.recovery.quarantined).toEqual([]);
      expect((await readAll(log)).map(shape)).toEqual(expected);
    },
  );

  it('regression: a cut into a sealed segment left the index entries after the cut', async () => {
    const log = await open(new MemoryDirectory(), { segmentBytesMax: 600, indexIntervalBytes: 100 });
    const writer = new Writer();
    await log.append([
      writer.batch(0),
      writer.batch(3, { bytes: 60 }),
      writer.batch(3, { bytes: 80 }),
      writer.batch(2),
    ]);
    expect(log.segments).toBe(2);
    await log.truncateSuffix(toIndex(2));
    const again = new Writer(2, 0);
    await log.append([again.batch(0), again.batch(0), again.batch(0), again.batch(1)]);
    expect((await readAll(log)).map(shape)).toEqual([[5, 0, 1, 1]]);
    await log.truncateSuffix(toIndex(4));
    expect(log.lastIndex).toBe(3);
  });

  it('restarts a read in flight, so that it never returns dropped entries', async () => {
    const directory = new PausedReadDirectory();
    const log = await Log.open(directory, { logId, crc32c });
    const writer = new Writer();
    await log.append([writer.batch(5), writer.batch(5)]);
    const opened = directory.holdNextRead();
    const read = log.read(toOffset(0), { until: untilEnd, bytesMax: 1e6 });
    await log.truncateSuffix(toIndex(2));
    opened();
    expect((await read).map(shape)).toEqual([[1, 0, 5, 1]]);
  });
});

describe('Log.truncatePrefix', () => {
  it('drops whole segments below the offset, never the active one', async () => {
    const directory = new MemoryDirectory();
    const log = await open(directory, { segmentBytesMax: 300 });
    const writer = new Writer();
    for (let n = 0; n < 20; n++) await log.append([writer.batch(2, { term: n })]);
    await log.truncatePrefix(toOffset(11));
    expect(log.startOffset).toBeGreaterThan(4);
    expect(log.startOffset).toBeLessThanOrEqual(11);
    await expect(log.read(toOffset(0), { until: untilEnd, bytesMax: 1 })).rejects.toThrow(OffsetOutOfRangeError);
    expect(await log.termAt(toIndex(log.startIndex - 1))).toBe(log.startIndex - 2);
    const start = [log.startOffset, log.startIndex];
    const before = (await readAll(log)).map(shape);
    await log.close();
    const reopened = await open(directory, { segmentBytesMax: 300 });
    expect([reopened.startOffset, reopened.startIndex]).toEqual(start);
    expect(reopened.recovery.quarantined).toEqual([]);
    expect((await readAll(reopened)).map(shape)).toEqual(before);
    await reopened.truncatePrefix(toOffset(1000));
    expect(reopened.segments).toBe(1);
    expect(reopened.endOffset).toBe(40);
  });

  it('regression: DeleteRange cut the wrong end: the newest records stay', async () => {
    const log = await open(new MemoryDirectory(), { segmentBytesMax: 300 });
    const writer = new Writer();
    for (let n = 0; n < 20; n++) await log.append([writer.batch(2)]);
    await log.truncatePrefix(toOffset(30));
    expect(log.endOffset).toBe(40);
    const all = await readAll(log);
    expect(all.at(-1)?.baseOffset).toBe(38);
    expect(all[0].baseOffset).toBe(log.startOffset);
  });

  it('serves a read in flight or rejects it as out of range', async () => {
    const log = await open(new MemoryDirectory(), { segmentBytesMax: 300, openStoresMax: 0 });
    const writer = new Writer();
    for (let n = 0; n < 20; n++) await log.append([writer.batch(2)]);
    const reads = Array.from({ length: 20 }, (_, n) => log.read(toOffset(n), { until: untilEnd, bytesMax: 1 }));
    const settled = Promise.allSettled(reads);
    await log.truncatePrefix(toOffset(38));
    for (const [n, result] of (await settled).entries()) {
      if (result.status === 'fulfilled') expect(result.value[0].baseOffset).toBe(n - (n % 2));
      else expect(result.reason).toBeInstanceOf(OffsetOutOfRangeError);
    }
  });
});

describe('Log.retain', () => {
  const filled = async (): Promise<Log> => {
    const log = await open(new MemoryDirectory(), { segmentBytesMax: 300 });
    const writer = new Writer();
    for (let n = 0; n < 20; n++) await log.append([writer.batch(2, { time: 100 * n })]);
    return log;
  };

  it('drops the oldest segments until the rest fits the size limit', async () => {
    const log = await filled();
    await log.retain({ bytesMax: 1000, now: toEpochMs(0), upTo: toIndex(21) });
    expect(log.bytes).toBeLessThanOrEqual(1000);
    expect(log.bytes).toBeGreaterThan(650);
    await log.retain({ bytesMax: 0, now: toEpochMs(0), upTo: toIndex(21) });
    expect(log.segments).toBe(1);
  });

  it('drops segments whose newest record is too old', async () => {
    const log = await filled();
    await log.retain({ ageMsMax: 1000, now: toEpochMs(1900), upTo: toIndex(21) });
    const [oldest] = await readAll(log);
    expect(oldest.appendTimeMs).toBeGreaterThan(500);
    expect(oldest.appendTimeMs).toBeLessThanOrEqual(900);
  });

  it('drops nothing by age without a clock, and nothing that cannot be old', async () => {
    const log = await filled();
    await log.retain({ ageMsMax: 1000, upTo: toIndex(21) });
    await log.retain({ ageMsMax: 1000, now: toEpochMs(9000), maybeOldUpTo: toIndex(1), upTo: toIndex(21) });
    expect(log.startOffset).toBe(0);
    await log.retain({ ageMsMax: 1000, now: toEpochMs(9000), maybeOldUpTo: toIndex(9), upTo: toIndex(21) });
    expect(log.startIndex).toBeGreaterThan(1);
    expect(log.startIndex).toBeLessThanOrEqual(9);
  });

  it('drops segments whose records are all ahead of the clock once they are surely old', async () => {
    const log = await filled();
    const now = toEpochMs(0);
    await log.retain({ ageMsMax: 1000, now, surelyOldUpTo: toIndex(2), upTo: toIndex(21) });
    expect(log.startOffset).toBe(0);
    await log.retain({ ageMsMax: 1000, now, surelyOldUpTo: toIndex(9), upTo: toIndex(21) });
    expect(log.startIndex).toBeGreaterThan(1);
    expect(log.startIndex).toBeLessThanOrEqual(9);
  });

  it('drops segments that hold only records before the start offset', async () => {
    const log = await filled();
    await log.retain({ startOffset: toOffset(21), now: toEpochMs(0), upTo: toIndex(21) });
    expect(log.startOffset).toBeLessThanOrEqual(21);
    expect(log.startOffset).toBeGreaterThan(15);
    await log.retain({ startOffset: toOffset(40), now: toEpochMs(0), upTo: toIndex(5) });
    expect(log.startOffset).toBeLessThanOrEqual(21);
  });

  it('keeps uncommitted entries', async () => {
    const log = await filled();
    await log.retain({ bytesMax: 0, now: toEpochMs(0), upTo: toIndex(5) });
    expect(log.startOffset).toBeLessThanOrEqual(9);
    expect(log.startOffset).toBeGreaterThan(3);
  });

  it('keeps uncommitted entries that hold no record', async () => {
    const log = await open(new MemoryDirectory(), { segmentBytesMax: 300 });
    const writer = new Writer();
    for (let n = 0; n < 4; n++) await log.append([writer.batch(2)]);
    for (let n = 0; n < 20; n++) await log.append([writer.batch(0)]);
    await log.retain({ bytesMax: 0, now: toEpochMs(0), upTo: toIndex(7) });
    expect(log.startIndex).toBeGreaterThan(4);
    expect(log.startIndex).toBeLessThanOrEqual(7);
  });
});
