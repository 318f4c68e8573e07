import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { readResponseBytes } from '../../src/adapters/wire/responses.js';
import { encodePrefix } from '../../src/domain/log/batch-prefix.js';
import { toEpochMs, toIndex, toOffset, toTerm } from '../../src/domain/log/offsets.js';
import { parseBatch, sealBatch } from '../../src/domain/log/record-batch.js';
import { encodeRecord } from '../../src/domain/log/record.js';
import { defaultRecordLimits, frameRecords, sliceBatch } from '../../src/domain/log/records.js';
import { ReadResponseSchema } from '../../src/gen/golog/v1/log_service_pb.js';
import { hexdump, parseHexdump } from './hexdump.js';

// A batch with a prefix, as documented in docs/storage-format.md, and what a reader gets that begins in its middle.
const goldenText = (name: string): string =>
  readFileSync(join(import.meta.dirname, 'batch-prefix', `${name}.hex`), 'utf8');
const document = readFileSync(join(import.meta.dirname, '../../docs/storage-format.md'), 'utf8');

const checksum = { crc32c, logId: Uint8Array.from({ length: 16 }, (_, i) => i) };
const text = new TextEncoder();
const records = ['hello', 'world'].map((value) => encodeRecord({ value: text.encode(value) }));
const batch = sealBatch(
  {
    kind: 0,
    index: toIndex(2),
    term: toTerm(1),
    baseOffset: toOffset(0),
    recordCount: records.length,
    appendTimeMs: toEpochMs(1767225600123),
    prefix: encodePrefix({ id: 'orders', epoch: 1, sequence: 300 }),
    payload: frameRecords(records, defaultRecordLimits).payload,
  },
  checksum,
);

describe('a batch with a prefix', () => {
  it('is written and read like the golden bytes', () => {
    expect(hexdump(Uint8Array.of(...batch.header, ...batch.payload))).toBe(goldenText('batch'));
    const bytes = parseHexdump(goldenText('batch'));
    expect(parseBatch(bytes, 0, bytes.length, checksum)).toEqual(batch);
  });

  it('is documented byte by byte', () => {
    const shown = document.slice(document.indexOf('A batch with a prefix:')).split('```')[1];
    const bytes = (shown ?? '').split('\n').map((line) => line.slice(0, 53).trimEnd());
    const hex = (lines: readonly string[]): string => lines.map((line) => line.slice(6)).join(' ');
    expect(hex(bytes.filter((line) => /^[0-9a-f]{4} {2}/.test(line)))).toBe(
      hex(goldenText('batch').trimEnd().split('\n')),
    );
  });

  it('gives its producer to a reader that begins in its middle', () => {
    const slice = sliceBatch(batch, toOffset(1), 1);
    const answer = readResponseBytes({ batches: [slice], logStartOffset: toOffset(0), highWatermark: toOffset(2) });
    expect(hexdump(answer)).toBe(goldenText('slice'));
    const [read] = fromBinary(ReadResponseSchema, parseHexdump(goldenText('slice'))).batches;
    expect(read).toMatchObject({ baseOffset: 1n, producer: { id: 'orders', epoch: 1n, sequence: 300n } });
    expect(read?.records.map(({ value }) => value)).toEqual([text.encode('world')]);
  });
});
