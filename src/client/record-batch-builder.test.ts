import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { AppendRequestSchema } from '../gen/golog/v1/log_service_pb.js';
import { RecordBatchBuilder, recordBytes } from './record-batch-builder.js';

const bytes = fc.uint8Array({ maxLength: 300 });
/** The generated code that decodes the records stores headers in an object, which cannot have this one name. */
const headerName = fc.string({ unit: 'grapheme' }).filter((name) => name !== '__proto__');
const anyRecord = fc.record({
  value: bytes,
  key: fc.option(bytes, { nil: undefined }),
  headers: fc.option(
    fc
      .dictionary(headerName, bytes, { maxKeys: 3, noNullPrototype: true })
      .map((entries) => new Map(Object.entries(entries))),
    { nil: undefined },
  ),
});

describe('RecordBatchBuilder', () => {
  it('encodes what a protobuf reader decodes', () => {
    fc.assert(
      fc.property(
        fc.array(anyRecord, { minLength: 1, maxLength: 20 }),
        fc.option(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), { nil: undefined }),
        (records, claim) => {
          const builder = new RecordBatchBuilder(1 << 20);
          for (const record of records) expect(builder.add(record)).toBe(true);
          const batch = builder.take()!;
          const request = fromBinary(AppendRequestSchema, batch.request(claim));
          expect(request.expectedOffset).toBe(claim === undefined ? undefined : BigInt(claim));
          expect(batch.recordCount).toBe(records.length);
          expect(request.records.map(({ value, key, headers }) => [value, key, headers])).toEqual(
            records.map(({ value, key, headers }) => [
              value,
              key ?? new Uint8Array(0),
              Object.fromEntries(headers ?? []),
            ]),
          );
          expect([...batch.records()].map((record) => record.length)).toEqual(records.map(recordBytes));
        },
      ),
    );
  });

  it('is full when another record would not fit, and accepts a record larger than a batch on its own', () => {
    const builder = new RecordBatchBuilder(10);
    expect(builder.take()).toBeUndefined();
    expect(builder.add({ value: Buffer.alloc(2) })).toBe(true);
    expect(builder.add({ value: Buffer.alloc(1) })).toBe(false);
    expect(builder.take()!.recordCount).toBe(1);
    expect(builder.add({ value: Buffer.alloc(50) })).toBe(true);
    expect(builder.add({ value: Buffer.alloc(0) })).toBe(false);
    expect(builder.take()!.bytes).toBe(54);
    expect(builder.count).toBe(0);
  });

  it('is full with 65,536 records, as many as a server accepts', () => {
    const builder = new RecordBatchBuilder(1 << 20);
    const empty = { value: Buffer.alloc(0) };
    for (let record = 0; record < 65_536; record += 1) expect(builder.add(empty)).toBe(true);
    expect(builder.add(empty)).toBe(false);
    expect(builder.take()!.recordCount).toBe(65_536);
    expect(builder.add(empty)).toBe(true);
  });

  it.each([
    [{ value: 'hello' }, /the value of the record is of type string: expected a Uint8Array/],
    [{ value: '' }, /the value of the record is of type string/],
    [{}, /the value of the record is of type undefined/],
    [{ value: null }, /the value of the record is null/],
    [{ value: [104, 105] }, /the value of the record is an array/],
    [{ value: 5 }, /the value of the record is of type number/],
    [{ value: { length: 3 } }, /the value of the record is of type object/],
    [{ value: new Uint16Array([0x6869]) }, /the value of the record is of type object/],
    [{ value: new ArrayBuffer(2) }, /the value of the record is of type object/],
    [{ value: Buffer.from('a'), key: 'k' }, /the key of the record is of type string/],
    [{ value: Buffer.from('a'), key: null }, /the key of the record is null/],
    [{ value: Buffer.from('a'), headers: { h: Buffer.from('x') } }, /the headers of the record are not a Map/],
    [{ value: Buffer.from('a'), headers: new Map([['h', 'x']]) }, /the header "h" of the record is of type string/],
    [{ value: Buffer.from('a'), headers: new Map([[1, Buffer.from('x')]]) }, /the name of a header .* is not a string/],
    [{ value: Buffer.from('a'), headers: new Map([['\ud83d', Buffer.from('x')]]) }, /the name of a header/],
  ])('refuses a record of plain JavaScript that is not of its type: %j', (record, message) => {
    const builder: { add(record: unknown): boolean; take(): unknown } = new RecordBatchBuilder(1 << 20);
    const add = (): boolean => builder.add(record);
    expect(add).toThrow(TypeError);
    expect(add).toThrow(message);
    expect(builder.take()).toBeUndefined();
  });
});
