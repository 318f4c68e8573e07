import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { MemoryDirectory } from '../../src/adapters/memory/memory-directory.js';
import { Log } from '../../src/domain/log/log.js';
import { readLogStart, writeLogStart } from '../../src/domain/log/log-start.js';
import { toEpochMs, toIndex, toOffset, toTerm } from '../../src/domain/log/offsets.js';
import {
  BatchKind,
  parseBatch,
  parseBatchHeader,
  sealBatch,
  type RecordBatch,
} from '../../src/domain/log/record-batch.js';
import { decodeRecord, encodeRecord } from '../../src/domain/log/record.js';
import { defaultRecordLimits, forEachRecord, frameRecords } from '../../src/domain/log/records.js';
import { verifyLog } from '../../src/domain/log/inspect/verify.js';
import { hexdump, parseHexdump } from './hexdump.js';

// The worked example of docs/storage-format.md. A change here is a change of the format: it needs a new version number,
// and a reader for the old one.
const golden = join(import.meta.dirname, 'storage-v1');
const [, document] = readFileSync(join(import.meta.dirname, '../../docs/storage-format.md'), 'utf8').split(
  '## Example',
);
const goldenNames = readdirSync(golden).map((name) => name.replace(/\.hex$/, ''));
const goldenText = (name: string): string => readFileSync(join(golden, `${name}.hex`), 'utf8');

const logId = Uint8Array.from({ length: 16 }, (_, i) => i);
const checksum = { crc32c, logId };
const options = { logId, crc32c, segmentBytesMax: 200, indexIntervalBytes: 100 };
const text = new TextEncoder();

const hello = { value: text.encode('hello') };
const world = { value: text.encode('world'), key: text.encode('k'), headers: new Map([['h', text.encode('v')]]) };
const exampleStart = { offset: toOffset(2), index: toIndex(3), term: toTerm(1) };

function exampleBatches(): RecordBatch[] {
  const records = [hello, world].map(encodeRecord);
  const batch = (index: number, term: number, offset: number, appendTimeMs: number, taken: Uint8Array[]): RecordBatch =>
    sealBatch(
      {
        kind: taken.length > 0 ? BatchKind.records : BatchKind.noop,
        index: toIndex(index),
        term: toTerm(term),
        baseOffset: toOffset(offset),
        recordCount: taken.length,
        appendTimeMs: toEpochMs(appendTimeMs),
        payload: taken.length > 0 ? frameRecords(taken, defaultRecordLimits).payload : new Uint8Array(0),
      },
      checksum,
    );
  return [
    batch(1, 1, 0, 1767225600000, []),
    batch(2, 1, 0, 1767225600123, records),
    batch(3, 2, 2, 1767225601000, records.slice(0, 1)),
  ];
}

async function writeExample(): Promise<MemoryDirectory> {
  const directory = new MemoryDirectory();
  const log = await Log.open(directory, options);
  await log.append(exampleBatches());
  await log.close();
  await writeLogStart(directory, exampleStart, checksum);
  return directory;
}

async function readGolden(): Promise<MemoryDirectory> {
  const directory = new MemoryDirectory();
  for (const name of goldenNames.filter((name) => name !== 'log-start'))
    await (await directory.create(name)).write(0, [parseHexdump(goldenText(name))]);
  return directory;
}

describe('storage format, version 1', () => {
  it('is written like the golden files', async () => {
    const directory = await writeExample();
    expect(await directory.list()).toEqual(goldenNames);
    for (const name of goldenNames) {
      const bytes = await (await directory.open(name)).read(0, 10_000);
      expect(`${name}\n${hexdump(bytes)}`).toBe(`${name}\n${goldenText(name)}`);
    }
  });

  it('is read like it was written', async () => {
    const log = await Log.open(await readGolden(), options);
    expect(log.recovery).toMatchObject({ segments: 2, torn: undefined, quarantined: [], indexesRebuilt: 0 });
    const entries = [1, 3].map((from) => log.readEntries(toIndex(from), { until: toIndex(4), bytesMax: 1000 }));
    expect((await Promise.all(entries)).flat()).toEqual(exampleBatches());
    const [batch] = await log.read(toOffset(1), { until: toOffset(3), bytesMax: 1 });
    const records: unknown[] = [];
    forEachRecord(batch.payload, (start, end) => records.push(decodeRecord(batch.payload.subarray(start, end))));
    expect(records).toEqual([hello, world]);
    await log.close();
    for await (const report of verifyLog(await readGolden(), { crc32c })) expect(report.problems).toEqual([]);
  });

  it('has a log start', async () => {
    const directory = new MemoryDirectory();
    await (await directory.create('log-start')).write(0, [parseHexdump(goldenText('log-start'))]);
    expect(await readLogStart(directory, checksum)).toEqual(exampleStart);
  });

  it('is documented byte by byte', () => {
    for (const name of goldenNames) {
      const start = document.indexOf(`\`${name}\``);
      expect([name, start >= 0]).toEqual([name, true]);
      const shown = document.slice(start).split('```')[1].split('\n').slice(1);
      const bytes = shown.map((line) => line.slice(0, 53).trimEnd()).filter((line) => /^[0-9a-f]{4} {2}/.test(line));
      expect(bytes.map((line) => line.slice(6)).join(' ')).toBe(
        goldenText(name)
          .trimEnd()
          .split('\n')
          .map((line) => line.slice(6))
          .join(' '),
      );
    }
  });

  it('rejects a batch with any bit changed', () => {
    const [, batch] = exampleBatches();
    const whole = Uint8Array.of(...batch.header, ...batch.payload);

    expect(typeof parseBatch(whole, 0, whole.length, checksum)).toBe('object');
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const changed = whole.slice();
      changed[bit >> 3] ^= 1 << (bit & 7);
      expect([bit, typeof parseBatch(changed, 0, changed.length, checksum)]).toEqual([bit, 'string']);
    }
    for (let length = 0; length < whole.length; length++)
      expect(typeof parseBatch(whole, 0, length, checksum)).toBe('string');
    expect(parseBatch(whole, 0, whole.length, { crc32c, logId: logId.map((byte) => byte ^ 1) })).toBe(
      'checksum mismatch',
    );
  });

  it('accepts offsets and indexes up to 2^53 - 1 and rejects headers above', () => {
    const [batch] = exampleBatches();
    const index = toIndex(Number.MAX_SAFE_INTEGER);
    const { header } = sealBatch({ ...batch, index, baseOffset: toOffset(Number.MAX_SAFE_INTEGER) }, checksum);
    expect(parseBatchHeader(header, 0)).toMatchObject({ index, baseOffset: Number.MAX_SAFE_INTEGER });
    header[24] = 0x80;
    expect(parseBatchHeader(header, 0)).toBe('lengths or counts out of range');
  });
});
