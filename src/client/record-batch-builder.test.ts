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
});
