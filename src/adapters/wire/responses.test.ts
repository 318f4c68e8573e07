import { describe, expect, it } from '@jest/globals';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { encodePrefix } from '../../domain/log/batch-prefix.js';
import { toEpochMs, toIndex, toOffset, toTerm } from '../../domain/log/offsets.js';
import type { RecordBatch } from '../../domain/log/record-batch.js';
import { BatchKind } from '../../domain/log/record-batch.js';
import { defaultRecordLimits, frameRecords } from '../../domain/log/records.js';
import { AppendResponseSchema, ReadResponseSchema } from '../../gen/golog/v1/log_service_pb.js';
import { ConsumeResponseSchema, ProduceResponseSchema, RecordSchema } from '../../gen/log/v1/log_pb.js';
import { appendResponseBytes, consumeResponsesBytes, produceResponseBytes, readResponseBytes } from './responses.js';

const safe = fc.oneof(
  fc.constantFrom(0, 1, 127, 128, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53 - 1),
  fc.nat(300),
  fc.maxSafeNat(),
);
const epochMs = fc.oneof(fc.constantFrom(0, 999, 1000), fc.integer({ min: 0, max: 253_402_300_799_999 }));
const record = fc.record({
  value: fc.uint8Array({ maxLength: 300 }),
  key: fc.uint8Array({ maxLength: 20 }),
  headers: fc.dictionary(fc.string({ maxLength: 5 }), fc.uint8Array({ maxLength: 5 }), { maxKeys: 3 }),
});

const batchOf = fc
  .record({
    baseOffset: fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 2 ** 53 - 100 })),
    term: safe,
    time: epochMs,
    records: fc.array(record, { minLength: 1, maxLength: 5 }),
    producer: fc.option(fc.record({ id: fc.string({ minLength: 1, maxLength: 20 }), epoch: safe, sequence: safe }), {
      nil: undefined,
    }),
  })
  .map(({ baseOffset, term, time, records, producer }) => {
    const { payload, count } = frameRecords(
      records.map((fields) => toBinary(RecordSchema, create(RecordSchema, fields))),
      defaultRecordLimits,
    );
    const batch: RecordBatch = {
      kind: BatchKind.records,
      index: toIndex(1),
      term: toTerm(term),
      baseOffset: toOffset(baseOffset),
      recordCount: count,
      appendTimeMs: toEpochMs(time),
      header: new Uint8Array(),
      prefix: producer && encodePrefix(producer),
      payload,
    };
    return { batch, records, producer };
  });

describe('the hand-written encoders agree with the generated code', () => {
  it('ProduceResponse', () => {
    fc.assert(
      fc.property(safe, (offset) => {
        const expected = toBinary(ProduceResponseSchema, create(ProduceResponseSchema, { offset: BigInt(offset) }));
        expect([...produceResponseBytes(toOffset(offset))]).toEqual([...expected]);
      }),
    );
  });

  it('AppendResponse', () => {
    fc.assert(
      fc.property(
        fc.record({
          baseOffset: safe,
          recordCount: fc.nat(),
          term: safe,
          index: safe,
          syncedOn: fc.array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 200 }), { maxLength: 5 }),
        }),
        ({ baseOffset, recordCount, term, index, syncedOn }) => {
          const expected = toBinary(
            AppendResponseSchema,
            create(AppendResponseSchema, {
              baseOffset: BigInt(baseOffset),
              recordCount,
              receipt: { term: BigInt(term), index: BigInt(index), syncedOn },
            }),
          );
          const receipt = { baseOffset: toOffset(baseOffset), recordCount, term: toTerm(term), index: toIndex(index) };
          expect([...appendResponseBytes({ ...receipt, syncedOn })]).toEqual([...expected]);
        },
      ),
    );
  });

  it('ReadResponse', () => {
    fc.assert(
      fc.property(fc.array(batchOf, { maxLength: 3 }), safe, safe, (batches, logStartOffset, highWatermark) => {
        const expected = create(ReadResponseSchema, {
          batches: batches.map(({ batch, records, producer }) => ({
            baseOffset: BigInt(batch.baseOffset),
            term: BigInt(batch.term),
            appendTime: timestampFromMs(batch.appendTimeMs),
            records,
            ...(producer && {
              producer: { ...producer, epoch: BigInt(producer.epoch), sequence: BigInt(producer.sequence) },
            }),
          })),
          logStartOffset: BigInt(logStartOffset),
          highWatermark: BigInt(highWatermark),
        });
        const bytes = readResponseBytes({
          batches: batches.map(({ batch }) => batch),
          logStartOffset: toOffset(logStartOffset),
          highWatermark: toOffset(highWatermark),
        });
        expect(fromBinary(ReadResponseSchema, bytes)).toEqual(expected);
        // The prefix stands before the records; without one, the bytes are the same as well.
        if (batches.every(({ producer }) => producer === undefined))
          expect([...bytes]).toEqual([...toBinary(ReadResponseSchema, expected)]);
      }),
    );
  });

  it('ConsumeResponse: made when it is asked for, so that nothing of a large batch is made for who takes little', () => {
    const payload = new Uint8Array(1 << 20).map((_, at) => (at % 2 === 0 ? 0x22 : 0));
    payload.fill(0xff, 4);
    const fields = { kind: BatchKind.records, index: toIndex(1), term: toTerm(1), baseOffset: toOffset(0) };
    const batch = { ...fields, recordCount: 1 << 19, appendTimeMs: toEpochMs(0), header: new Uint8Array(), payload };
    const messages = consumeResponsesBytes(batch);
    for (let taken = 0; taken < 2; taken += 1) expect(messages.next().done).toBe(false);
    // Only now does it come to what is malformed.
    expect(() => messages.next()).toThrow('malformed at record 2');
  });

  it('ConsumeResponse: one a record, each with the server’s fields', () => {
    fc.assert(
      fc.property(batchOf, ({ batch, records }) => {
        const messages = [...consumeResponsesBytes(batch)].map((bytes) => fromBinary(ConsumeResponseSchema, bytes));
        const expected = records.map((fields, place) =>
          create(ConsumeResponseSchema, {
            record: {
              ...fields,
              offset: BigInt(batch.baseOffset + place),
              term: BigInt(batch.term),
              appendTime: timestampFromMs(batch.appendTimeMs),
            },
          }),
        );
        expect(messages).toEqual(expected);
      }),
    );
  });
});
