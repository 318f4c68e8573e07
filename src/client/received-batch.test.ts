import { create, toBinary } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from '@jest/globals';
import { ReadResponseSchema } from '../gen/golog/v1/log_service_pb.js';
import { decodeReadResponse } from './received-batch.js';
import { MalformedResponseError } from './wire.js';

const offset = 2 ** 40 + 5;
const response = toBinary(
  ReadResponseSchema,
  create(ReadResponseSchema, {
    logStartOffset: 3n,
    highWatermark: BigInt(Number.MAX_SAFE_INTEGER),
    batches: [
      {
        baseOffset: BigInt(offset),
        term: 9n,
        appendTime: timestampFromMs(1_700_000_000_123),
        records: [
          {
            value: Buffer.from('a'),
            key: Buffer.from('k'),
            headers: { ü: Buffer.from('h'), empty: new Uint8Array(0) },
          },
          {},
        ],
      },
      { baseOffset: BigInt(offset + 2), records: [{ value: Buffer.alloc(300, 1) }] },
    ],
  }),
);

describe('decodeReadResponse', () => {
  it('reads what protobuf writes', () => {
    const { batches, ...rest } = decodeReadResponse(response);
    expect(rest).toEqual({ logStartOffset: 3, highWatermark: Number.MAX_SAFE_INTEGER });
    const [first, second] = batches;
    expect([first?.baseOffset, first?.term, first?.appendTimeMs, first?.endOffset]).toEqual([
      offset,
      9,
      1_700_000_000_123,
      offset + 2,
    ]);
    const [a, b] = [...first.records()];
    expect([a?.offset, String(a?.value), String(a?.key)]).toEqual([offset, '97', '107']);
    expect([...a.headers].map(([name, value]) => [name, [...value]])).toEqual([
      ['ü', [104]],
      ['empty', []],
    ]);
    expect(b).toEqual({ offset: offset + 1, value: new Uint8Array(0), key: new Uint8Array(0), headers: new Map() });
    expect([...second.records()].map(({ value }) => value.length)).toEqual([300]);
  });

  it('refuses truncated responses, and numbers that would be rounded', () => {
    for (let length = 1; length < response.length; length += 1) {
      try {
        for (const batch of decodeReadResponse(response.subarray(0, length)).batches) Array.from(batch.records());
      } catch (error) {
        expect(error).toBeInstanceOf(MalformedResponseError);
      }
    }
    const huge = toBinary(ReadResponseSchema, create(ReadResponseSchema, { highWatermark: 2n ** 53n }));
    expect(() => decodeReadResponse(huge)).toThrow(MalformedResponseError);
  });
});
