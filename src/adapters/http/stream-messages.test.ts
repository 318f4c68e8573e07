import { toBinary } from '@bufbuild/protobuf';
import { createContextValues, type HandlerContext } from '@connectrpc/connect';
import { describe, expect, it } from '@jest/globals';
import type { ReadResult } from '../../application/ports/commit-log.js';
import { toEpochMs, toIndex, toOffset, toTerm } from '../../domain/log/offsets.js';
import { BatchKind } from '../../domain/log/record-batch.js';
import { defaultRecordLimits, frameRecords } from '../../domain/log/records.js';
import { ReadResponseSchema } from '../../gen/golog/v1/log_service_pb.js';
import { ConsumeResponseSchema } from '../../gen/log/v1/log_pb.js';
import { consumeResponsesBytes, readResponseBytes } from '../wire/responses.js';
import type { ResponseWriter } from './response-writer.js';
import { sendConsumeResponses, sendReadResponses, writerKey } from './stream-messages.js';

function resultOf(...sizes: number[]): ReadResult {
  const records = sizes.map((size) => new Uint8Array([0x0a, size & 0x7f, ...new Uint8Array(size & 0x7f)]));
  const { payload, count } = frameRecords(records, defaultRecordLimits);
  const batch = {
    ...{ kind: BatchKind.records, index: toIndex(1), term: toTerm(1), baseOffset: toOffset(0), recordCount: count },
    ...{ appendTimeMs: toEpochMs(1), header: new Uint8Array(0), payload },
  };
  return { batches: [batch], logStartOffset: toOffset(0), highWatermark: toOffset(count) };
}

/** A response that has begun, or not; with what was written past Connect. */
function callWith(takes: (bytes: number) => boolean): { context: HandlerContext; written: Uint8Array[] } {
  const written: Uint8Array[] = [];
  const writer: Pick<ResponseWriter, 'takesEnvelope' | 'sendEnvelope'> = {
    takesEnvelope: takes,
    sendEnvelope: (envelope) => void written.push(envelope),
  };
  const values = createContextValues().set(writerKey, writer as ResponseWriter);
  return { context: { values } as HandlerContext, written };
}

async function all<Message>(messages: AsyncIterable<Message>): Promise<Message[]> {
  const found: Message[] = [];
  for await (const message of messages) found.push(message);
  return found;
}

const envelopeOf = (message: Uint8Array): Buffer => {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
};

describe('messages of a stream', () => {
  it('are left to Connect while the response has not begun', async () => {
    const result = resultOf(10);
    const { context, written } = callWith(() => false);
    const yielded = await all(sendReadResponses(result, context));
    expect(yielded.map((message) => Buffer.from(toBinary(ReadResponseSchema, message)))).toEqual([
      readResponseBytes(result),
    ]);
    expect(written).toEqual([]);
  });

  it('are encoded once for all that follow the log', async () => {
    const result = resultOf(10);
    const calls = [callWith(() => true), callWith(() => true)];
    for (const { context } of calls) expect(await all(sendReadResponses(result, context))).toEqual([]);
    const [first, second] = calls.map(({ written: [envelope] }) => envelope);
    expect(first).toEqual(envelopeOf(readResponseBytes(result)));
    expect(second).toBe(first);
  });

  it('are left to Connect one by one where it compresses them', async () => {
    const result = resultOf(5, 100, 6);
    const [batch] = result.batches;
    const messages = batch === undefined ? [] : [...consumeResponsesBytes(batch)];
    const { context, written } = callWith((bytes) => bytes < 50);
    const yielded = await all(sendConsumeResponses(result, context));
    expect(yielded.map((message) => Buffer.from(toBinary(ConsumeResponseSchema, message)))).toEqual([messages[1]]);
    expect(written).toEqual([messages[0], messages[2]].map((message = Buffer.alloc(0)) => envelopeOf(message)));
  });
});
