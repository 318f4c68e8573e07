/** A log in memory to fill and damage; each test of an importing file gets a new one. */
import { beforeEach, expect } from '@jest/globals';
import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { MemoryDirectory } from '../../src/adapters/memory/memory-directory.js';
import { CorruptRangeError } from '../../src/domain/log/errors.js';
import { storeFileName } from '../../src/domain/log/file-names.js';
import { Log, type LogOptions } from '../../src/domain/log/log.js';
import { toEpochMs, toIndex, toOffset, toTerm } from '../../src/domain/log/offsets.js';
import { sealBatch, storedBytes, type RecordBatch } from '../../src/domain/log/record-batch.js';
import { defaultRecordLimits, frameRecords } from '../../src/domain/log/records.js';
import { encodeRecord } from '../../src/domain/log/record.js';
import type { LogNotice } from '../../src/domain/log/recovery.js';
import { storeHeaderBytes } from '../../src/domain/log/store-header.js';

export const logId = Uint8Array.from({ length: 16 }, (_, i) => 16 - i);
export const checksum = { crc32c, logId };
export const options: LogOptions = { logId, crc32c, segmentBytesMax: 700, indexIntervalBytes: 150 };

/** Builds a batch of two records, about 100 bytes. */
export function makeBatch(number: number): RecordBatch {
  const value = new Uint8Array(18).fill(65 + (number % 26));
  const record = encodeRecord({ value });
  return sealBatch(
    {
      kind: 0,
      index: toIndex(number + 1),
      term: toTerm(1),
      baseOffset: toOffset(2 * number),
      recordCount: 2,
      appendTimeMs: toEpochMs(1000 + number),
      payload: frameRecords([record, record], defaultRecordLimits).payload,
    },
    checksum,
  );
}
export const batchBytes = storedBytes(makeBatch(0));
export const position = (batch: number): number => storeHeaderBytes + batch * batchBytes;

export let directory: MemoryDirectory;
export let notices: LogNotice[];
beforeEach(() => {
  directory = new MemoryDirectory();
  notices = [];
});

export const open = (more: Partial<LogOptions> = {}): Promise<Log> =>
  Log.open(directory, { ...options, onNotice: (notice) => notices.push(notice), ...more });

/** Writes `count` batches, each synced, and closes the log. */
export async function fill(count: number, more: Partial<LogOptions> = {}): Promise<void> {
  const log = await open(more);
  for (let number = 0; number < count; number++) {
    await log.append([makeBatch(number)]);
    await log.sync();
  }
  await log.close();
}

export async function change(name: string, edit: (bytes: Uint8Array) => Uint8Array): Promise<void> {
  const file = await directory.open(name);
  const bytes = edit(await file.read(0, await file.size()));
  await file.truncate(0);
  await file.write(0, [bytes]);
  await file.close();
}

export const flip =
  (at: number) =>
  (bytes: Uint8Array): Uint8Array => {
    bytes[at] ^= 0x10;
    return bytes;
  };
export const cutAt =
  (length: number) =>
  (bytes: Uint8Array): Uint8Array =>
    bytes.slice(0, length);
export const append =
  (...more: number[]) =>
  (bytes: Uint8Array): Uint8Array =>
    Uint8Array.of(...bytes, ...more);

export const store = storeFileName(toOffset(0));
export const bytesOf = async (name: string): Promise<Uint8Array> => (await directory.open(name)).read(0, 1e6);
export const readAt = (log: Log, offset: number): Promise<RecordBatch[]> =>
  log.read(toOffset(offset), { until: toOffset(1e6), bytesMax: 1 });
export async function readable(log: Log): Promise<number[]> {
  const offsets: number[] = [];
  for (let offset: number = log.startOffset; offset < log.endOffset; offset++)
    await readAt(log, offset).then(
      () => offsets.push(offset),
      (error: unknown) => expect(error).toBeInstanceOf(CorruptRangeError),
    );
  return offsets;
}
export const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
