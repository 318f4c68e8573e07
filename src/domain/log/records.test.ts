import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { crc32c } from '../../adapters/checksum/crc32c.js';
import { AppendRequestSchema, RecordBatchSchema } from '../../gen/golog/v1/log_service_pb.js';
import { ProduceRequestSchema, RecordSchema } from '../../gen/log/v1/log_pb.js';
import { InvalidInputError, TooLargeError, TooManyRecordsError } from './errors.js';
import { toEpochMs, toIndex, toOffset, toTerm } from './offsets.js';
import { sealBatch } from './record-batch.js';
import { decodeRecord, encodeRecord } from './record.js';
import {
  batchRecordsMax,
  defaultRecordLimits,
  forEachRecord,
  frameRecords,
  RecordCursor,
  sliceBatch,
  takeRecords,
} from './records.js';

const limits = defaultRecordLimits;
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const concat = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** Decodes the records of a payload with the generated code. */
const read = (payload: Uint8Array): { value: Uint8Array; key: Uint8Array; headers: object; offset: bigint }[] =>
  fromBinary(RecordBatchSchema, payload).records;

/**
 * Decodes the records of a request with the generated code, or returns `undefined` when that is not comparable: it
 * rejects or misparses a malformed append time, a field that is skipped here.
 */
function readRequest(wire: Uint8Array): ReturnType<typeof read> | undefined {
  try {
    const { records } = fromBinary(AppendRequestSchema, wire);
    return records.some(({ appendTime }) => appendTime) ? undefined : records;
  } catch {
    return undefined;
  }
}

const field = (tag: number, ...content: number[]): Uint8Array => bytes(tag, content.length, ...content);
const request = (...records: Uint8Array[]): Uint8Array => concat(...records.map((record) => field(0x0a, ...record)));

const recordInit = fc.record({
  value: fc.uint8Array({ maxLength: 300 }),
  key: fc.uint8Array({ maxLength: 20 }),
  headers: fc.dictionary(
    fc.string({ maxLength: 8, unit: 'grapheme' }).filter((name) => name !== '__proto__'),
    fc.uint8Array({ maxLength: 5 }),
    { maxKeys: 3, noNullPrototype: true },
  ),
});

describe('a batch of very many records', () => {
  const many = (records: number): Uint8Array => new Uint8Array(2 * records).map((_, at) => (at % 2 === 0 ? 0x0a : 0));

  it('is refused beyond 65,536 of them, however small, in one run or scattered, at any port', () => {
    expect(takeRecords(many(batchRecordsMax), limits).records.count).toBe(65_536);
    const tooMany = new TooManyRecordsError(batchRecordsMax);
    expect(() => takeRecords(many(batchRecordsMax + 1), limits)).toThrow(tooMany);
    // An unknown field has the request read the slow way.
    expect(() => takeRecords(concat(bytes(0x78, 1), many(batchRecordsMax + 1)), limits)).toThrow(tooMany);
    const records = Array<Uint8Array>(batchRecordsMax + 1).fill(bytes());
    expect(() => frameRecords(records, limits)).toThrow(tooMany);
    expect(tooMany).toBeInstanceOf(TooLargeError);
  });

  it('that an older log holds is read, record by record', () => {
    const payload = many(600_000).map((byte) => (byte === 0x0a ? 0x22 : byte));
    const cursor = new RecordCursor(payload);
    let records = 0;
    while (cursor.next()) records += 1;
    expect(records).toBe(600_000);
    expect([cursor.start, cursor.end]).toEqual([payload.length, payload.length]);
  });
});

describe('takeRecords', () => {
  it('returns the records in the buffer of the request', () => {
    const message = create(AppendRequestSchema, {
      records: [{ value: text('a') }, { value: text('bc'), key: text('k') }],
    });
    const wire = toBinary(AppendRequestSchema, message);
    const { records, expectedOffset } = takeRecords(wire, limits);
    expect([records.count, expectedOffset]).toEqual([2, undefined]);
    expect(records.payload.buffer).toBe(wire.buffer);
    expect(read(records.payload).map(({ value }) => value)).toEqual([text('a'), text('bc')]);
  });

  it('accepts what any producer sends (property)', () => {
    fc.assert(
      fc.property(
        fc.array(recordInit, { minLength: 1, maxLength: 8 }),
        fc.option(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { nil: undefined }),
        fc.option(fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }), { nil: undefined }),
        (inits, expectedOffset, serverField) => {
          const sent = inits.map((init) => ({
            ...init,
            ...(serverField && { offset: serverField, term: 7n, type: 3 }),
          }));
          const message = create(AppendRequestSchema, {
            records: sent,
            ...(expectedOffset !== undefined && { expectedOffset }),
          });
          const taken = takeRecords(toBinary(AppendRequestSchema, message), limits);
          expect(taken.expectedOffset).toBe(expectedOffset);
          expect(taken.records.count).toBe(inits.length);
          const expected = inits.map((init) => create(RecordSchema, init));
          expect(read(taken.records.payload)).toEqual(expected);
        },
      ),
    );
  });

  it('accepts a ProduceRequest', () => {
    const wire = toBinary(ProduceRequestSchema, create(ProduceRequestSchema, { record: { value: text('one') } }));
    expect(read(takeRecords(wire, limits).records.payload)[0].value).toEqual(text('one'));
  });

  it('stores 10,000 empty records', () => {
    const { records } = takeRecords(request(...Array.from({ length: 10_000 }, () => bytes())), limits);
    expect(records.count).toBe(10_000);
    expect(records.payload.length).toBe(20_000);
  });

  it.each([
    ['expected_offset in front', concat(bytes(0x10, 5), request(field(0x0a, 1), field(0x0a, 2))), 5n],
    ['expected_offset between records', concat(request(field(0x0a, 1)), bytes(0x10, 5), request(field(0x0a, 2))), 5n],
    [
      'expected_offset twice: the last one counts',
      concat(bytes(0x10, 9), request(field(0x0a, 1), field(0x0a, 2)), bytes(0x10, 5)),
      5n,
    ],
    [
      'unknown fields of the request: dropped',
      concat(request(field(0x0a, 1)), field(0x1a, 1, 2), bytes(0x25, 0, 0, 0, 0), request(field(0x0a, 2))),
      undefined,
    ],
    [
      'an unknown field 4, whose tag is that of stored records',
      concat(field(0x22, 7, 7), request(field(0x0a, 1), field(0x0a, 2))),
      undefined,
    ],
    ['overlong tags', concat(bytes(0x8a, 0x00, 3), field(0x0a, 1), request(field(0x0a, 2))), undefined],
    ['overlong tags in a record', request(bytes(0x8a, 0x80, 0x00, 1, 1), field(0x0a, 2)), undefined],
    [
      'overlong lengths',
      concat(bytes(0x0a, 0x83, 0x00), field(0x0a, 1), request(bytes(0x0a, 0x81, 0x80, 0x00, 2))),
      undefined,
    ],
    [
      'server fields: left out',
      request(
        concat(bytes(0x10, 0x80, 0x01), field(0x0a, 1), bytes(0x18, 3, 0x20, 1)),
        concat(field(0x0a, 2), field(0x2a, 8, 1)),
      ),
      undefined,
    ],
    [
      'a value given twice: the last one counts',
      request(concat(field(0x0a, 9), field(0x0a, 1)), field(0x0a, 2)),
      undefined,
    ],
  ])('reads %s', (_name, wire, expectedOffset) => {
    const taken = takeRecords(wire, limits);
    expect(taken.expectedOffset).toBe(expectedOffset);
    expect(taken.records.count).toBe(2);
    const records = read(taken.records.payload);
    expect(records.map(({ value }) => [...value])).toEqual([[1], [2]]);
    expect(records.map(({ offset }) => offset)).toEqual([0n, 0n]);
  });

  it('keeps unknown fields of a record: a newer producer may know a newer consumer', () => {
    const record = concat(field(0x0a, 1), field(0x42, 5, 6), bytes(0xc0, 0x3e, 1));
    expect([...takeRecords(request(record), limits).records.payload.subarray(2)]).toEqual([...record]);
    const stripped = concat(bytes(0x10, 1), record);
    expect([...takeRecords(request(stripped), limits).records.payload.subarray(2)]).toEqual([...record]);
  });

  const good = field(0x0a, 1);
  it.each([
    ['has no record', bytes()],
    ['only an expected offset', bytes(0x10, 5)],
    ['record 1 of the batch', concat(request(good), bytes(0x0a, 5, 1))],
    ['record 1 of the batch', concat(request(good), bytes(0x0a))],
    ['record 1 of the batch', request(good, bytes(0x0a, 2, 1))],
    ['record 1 of the batch', request(good, bytes(0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f))],
    ['record 1 of the batch', request(good, bytes(0x08, 1))],
    ['record 1 of the batch', request(good, bytes(0x30, 1))],
    ['field 2 has wire type 5, expected 0', request(good, bytes(0x15, 0x80, 0, 0x80, 0x80), bytes())],
    ['field 5 has wire type 0, expected 2', request(good, bytes(0x28, 1))],
    ['record 1 of the batch', request(good, bytes(0x02, 0))],
    ['record 1 of the batch', request(good, bytes(0x43, 0x44))],
    ['record 1 of the batch', request(good, bytes(0x41, 1, 2, 3))],
    ['record 1 of the batch', request(good, bytes(0x40, ...Array<number>(11).fill(0xff)))],
    ['record 1 of the batch', request(good, bytes(0xff))],
    ['a header is malformed', request(good, field(0x3a, 0x1a, 0))],
    ['a header is malformed', request(good, field(0x3a, 0x08, 1))],
    ['a header is malformed', request(good, field(0x3a, 0x0a, 3, 97))],
    ['the name of a header is not UTF-8', request(good, field(0x3a, 0x0a, 2, 0xc3, 0x28))],
    ['the name of a header is not UTF-8', request(good, field(0x3a, 0x0a, 3, 0xed, 0xa0, 0x80))],
    ['expected_offset', concat(request(good), bytes(0x10, ...Array<number>(9).fill(0xff), 0x02))],
    ['field 2 of the request has wire type 2', concat(request(good), field(0x12, 1))],
    ['field 1 of the request has wire type 0', concat(request(good), bytes(0x08, 1))],
    ['field 3 of the request', concat(request(good), bytes(0x1b, 0x1c))],
    ['malformed tag', concat(request(good), bytes(0x00))],
  ])('rejects: %s, case %#', (message, wire) => {
    expect(() => takeRecords(wire.slice(), limits)).toThrow(InvalidInputError);
    expect(() => takeRecords(wire.slice(), limits)).toThrow(
      message === 'only an expected offset' ? 'has no record' : message,
    );
  });

  it('rejects a record or batch that is too large, with its number', () => {
    const tight = { recordBytesMax: 10, batchBytesMax: 24 };
    const ten = field(0x0a, ...new Uint8Array(8));
    expect(takeRecords(request(ten, ten), tight).records.count).toBe(2);
    expect(() => takeRecords(request(ten, field(0x0a, ...new Uint8Array(9))), tight)).toThrow(
      expect.objectContaining({ name: 'TooLargeError', what: 'record', size: 11, limit: 10, recordNumber: 1 }),
    );
    expect(() => takeRecords(request(ten, ten, bytes()), tight)).toThrow(new TooLargeError('batch', 26, 24));
  });

  it('measures the stored size of a record, without the server fields', () => {
    const record = concat(field(0x0a, ...new Uint8Array(8)), bytes(0x10, 1));
    expect(takeRecords(request(record), { recordBytesMax: 10, batchBytesMax: 12 }).records.payload.length).toBe(12);
  });

  it('stores exactly what a protobuf reader reads, and nothing it rejects (property)', () => {
    const wires = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.array(fc.uint8Array({ maxLength: 12 }), { maxLength: 3 }).map((records) => request(...records)),
    );
    fc.assert(
      fc.property(wires, (wire) => {
        let taken;
        try {
          taken = takeRecords(wire.slice(), limits);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidInputError);
          return;
        }
        const stored = read(taken.records.payload);
        expect(stored.length).toBe(taken.records.count);
        const sent = readRequest(wire);
        if (!sent) return;
        expect(stored.map(({ value, key }) => [value, key])).toEqual(sent.map(({ value, key }) => [value, key]));
        expect(taken.records.count).toBe(sent.length);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('encodeRecord and decodeRecord', () => {
  it('agree with the generated code (property)', () => {
    fc.assert(
      fc.property(recordInit, ({ value, key, headers }) => {
        const record = { value, ...(key.length > 0 && { key }), headers: new Map(Object.entries(headers)) };
        const encoded = encodeRecord(record);
        expect(fromBinary(RecordSchema, encoded)).toEqual(create(RecordSchema, { value, key, headers }));
        const decoded = decodeRecord(toBinary(RecordSchema, create(RecordSchema, { value, key, headers, offset: 5n })));
        expect(decoded).toEqual({
          value,
          ...(key.length > 0 && { key }),
          ...(record.headers.size > 0 && { headers: record.headers }),
        });
      }),
    );
  });

  it.each([
    [{ value: 'hello' }],
    [{ value: [104, 105] }],
    [{ value: text('a'), key: 'k' }],
    [{ value: text('a'), headers: new Map([['h', 'x']]) }],
  ])('refuse a record of plain JavaScript with a field that is not bytes: %j', (record) => {
    expect(() => encodeRecord(record as never)).toThrow(TypeError);
  });

  it('reject malformed bytes', () => {
    expect(() => decodeRecord(bytes(0x0a, 2, 1))).toThrow(InvalidInputError);
    expect(() => decodeRecord(field(0x3a, 0x0a, 1, 0xff))).toThrow(InvalidInputError);
  });
});

describe('frameRecords, forEachRecord and sliceBatch', () => {
  const encoded = ['a', 'bb', '', 'dddd'].map((value) => encodeRecord({ value: text(value) }));
  const { payload, count } = frameRecords(encoded, limits);
  const batch = sealBatch(
    {
      kind: 0,
      index: toIndex(1),
      term: toTerm(1),
      baseOffset: toOffset(10),
      recordCount: count,
      appendTimeMs: toEpochMs(1),
      payload,
    },
    { crc32c, logId: new Uint8Array(16) },
  );

  it('go over the records in order', () => {
    const seen: [number, Uint8Array][] = [];
    forEachRecord(payload, (start, end, recordNumber) => seen.push([recordNumber, payload.slice(start, end)]));
    expect(seen).toEqual(encoded.map((record, recordNumber) => [recordNumber, record]));
    expect(() => forEachRecord(bytes(0x22, 5, 1), () => undefined)).toThrow(InvalidInputError);
    expect(() => frameRecords([], limits)).toThrow(InvalidInputError);
  });

  it.each([
    [0, Infinity, 10, 4],
    [10, 4, 10, 4],
    [11, Infinity, 11, 3],
    [11, 2, 11, 2],
    [13, 9, 13, 1],
    [10, 1, 10, 1],
    [14, 5, 14, 0],
  ])('cut a batch from %i, at most %d records, to base %i with %i records', (from, max, baseOffset, recordCount) => {
    const cut = sliceBatch(batch, toOffset(from), max);
    expect([cut.baseOffset, cut.recordCount]).toEqual([baseOffset, recordCount]);
    expect(cut.payload).toEqual(frameOrEmpty(encoded.slice(baseOffset - 10, baseOffset - 10 + recordCount)));
  });

  const frameOrEmpty = (records: Uint8Array[]): Uint8Array =>
    records.length === 0 ? new Uint8Array(0) : frameRecords(records, limits).payload;
});
