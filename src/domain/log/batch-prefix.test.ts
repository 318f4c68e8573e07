import { toBinary, create, fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { crc32c } from '../../adapters/checksum/crc32c.js';
import { ProducerSchema, RecordBatchSchema } from '../../gen/golog/v1/log_service_pb.js';
import { encodePrefix, type Producer, producerIn } from './batch-prefix.js';
import { toEpochMs, toIndex, toOffset, toTerm } from './offsets.js';
import { batchHeaderBytes, parseBatch, producerOf, type RecordBatch, sealBatch, storedBytes } from './record-batch.js';
import { encodeRecord } from './record.js';
import { defaultRecordLimits, frameRecords, recordsOf, sliceBatch } from './records.js';
import { malformed } from './wire-reader.js';

const checksum = { crc32c, logId: new Uint8Array(16) };
const producer: Producer = { id: 'p', epoch: 3, sequence: 200 };
const records = ['a', 'bb', 'ccc'].map((value) => encodeRecord({ value: new TextEncoder().encode(value) }));
const { payload, count } = frameRecords(records, defaultRecordLimits);

const sealed = (prefix: Uint8Array | undefined, kind: 0 | 1 = 0): RecordBatch =>
  sealBatch(
    {
      kind,
      index: toIndex(1),
      term: toTerm(1),
      baseOffset: toOffset(10),
      recordCount: kind === 0 ? count : 0,
      appendTimeMs: toEpochMs(1),
      prefix,
      payload: kind === 0 ? payload : new Uint8Array(0),
    },
    checksum,
  );

const stored = ({ header, payload: rest }: RecordBatch): Uint8Array => Uint8Array.of(...header, ...rest);
const parsed = (bytes: Uint8Array): RecordBatch => {
  const batch = parseBatch(bytes, 0, bytes.length, checksum);
  if (typeof batch === 'string') throw new TypeError(batch);
  return batch;
};

/** Gives stored bytes the checksum of what they hold now. */
function resealed(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer);
  const headerCrc = crc32c(bytes.subarray(0, 48), crc32c(checksum.logId));
  view.setUint32(48, crc32c(bytes.subarray(batchHeaderBytes), headerCrc) >>> 0);
  return bytes;
}

const producers = fc.record({
  id: fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }).filter((id) => Buffer.byteLength(id) <= 128),
  epoch: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
  sequence: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
});

describe('the prefix of a batch', () => {
  it('is what the generated code writes, and reads (property)', () => {
    fc.assert(
      fc.property(producers, (given) => {
        const { id, epoch, sequence } = given;
        const message = create(RecordBatchSchema, {
          producer: create(ProducerSchema, { id, epoch: BigInt(epoch), sequence: BigInt(sequence) }),
        });
        const prefix = encodePrefix(given);
        expect(prefix).toEqual(toBinary(RecordBatchSchema, message));
        expect(producerIn(prefix)).toEqual(given);
      }),
    );
  });

  it('is stored before the records, and is no part of them', () => {
    const prefix = encodePrefix(producer);
    const batch = parsed(stored(sealed(prefix)));
    expect(batch).toEqual(sealed(prefix));
    expect([...recordsOf(batch.payload)]).toEqual(records);
    expect(producerOf(batch)).toEqual(producer);
    expect(storedBytes(batch)).toBe(batchHeaderBytes + 2 + prefix.length + payload.length);
  });

  it('stays with a slice from the middle', () => {
    const slice = sliceBatch(parsed(stored(sealed(encodePrefix(producer)))), toOffset(11), 1);
    expect(slice.baseOffset).toBe(11);
    expect([...recordsOf(slice.payload)]).toEqual([records[1]]);
    expect(producerOf(slice)).toEqual(producer);
  });

  it('changes nothing of a batch without one', () => {
    const batch = sealed(undefined);
    expect([batch.header.length, batch.header[7], producerOf(batch)]).toEqual([batchHeaderBytes, 0, undefined]);
  });

  it('may have fields of a later release, which stay', () => {
    const prefix = Uint8Array.of(...encodePrefix(producer), 0x32, 1, 7);
    const batch = parsed(stored(sealed(prefix)));
    expect(batch.prefix).toEqual(prefix);
    expect(producerOf(batch)).toEqual(producer);
    expect(fromBinary(RecordBatchSchema, prefix).producer?.id).toBe('p');
  });

  const field5 = (...message: number[]): Uint8Array => Uint8Array.of(0x2a, message.length, ...message);
  it.each<[string, Uint8Array]>([
    ['nothing', Uint8Array.of()],
    ['no id', field5(0x10, 1)],
    ['an id of 129 bytes', Uint8Array.of(0x2a, 0x84, 1, 0x0a, 0x81, 1, ...new Uint8Array(129).fill(97))],
    ['an id that is not UTF-8', field5(0x0a, 1, 0xff)],
    ['an epoch above 2^53 - 1', field5(0x0a, 1, 97, 0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1)],
    ['a cut sequence', field5(0x0a, 1, 97, 0x18, 0x80)],
    ['a sequence of another wire type', field5(0x0a, 1, 97, 0x1a, 0)],
    ['two producers', Uint8Array.of(...encodePrefix(producer), ...encodePrefix(producer))],
    ['a record', Uint8Array.of(...encodePrefix(producer), 0x22, 0)],
    ['a base offset', Uint8Array.of(0x08, 1)],
    ['a cut field', Uint8Array.of(0x32, 5, 1)],
    ['a malformed tag', Uint8Array.of(0x00)],
  ])('is refused with %s, whatever its checksum says', (_name, prefix) => {
    const bytes = stored(sealed(prefix));
    expect(parseBatch(bytes, 0, bytes.length, checksum)).toBe('malformed prefix');
    if (prefix.length > 0) expect(producerIn(prefix)).toBe(malformed);
  });

  it('is refused when it is longer than the payload, in a control batch, and beside unknown attributes', () => {
    const long = stored(sealed(encodePrefix(producer)));
    long[batchHeaderBytes] = 0xff;
    expect(parseBatch(resealed(long), 0, long.length, checksum)).toBe('malformed prefix');
    for (const [at, value] of [
      [5, 1],
      [6, 1],
      [7, 3],
    ]) {
      const bytes = stored(sealed(encodePrefix(producer)));
      bytes[at] = value;
      expect(parseBatch(resealed(bytes), 0, bytes.length, checksum)).toBe('unknown kind or attributes');
    }
    expect(() => sealed(encodePrefix(producer), 1)).toThrow('cannot have a prefix');
  });
});
