import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { createContextKey, type HandlerContext } from '@connectrpc/connect';
import type { ReadResult } from '../../application/ports/commit-log.js';
import { ReadResponseSchema } from '../../gen/golog/v1/log_service_pb.js';
import { ConsumeResponseSchema } from '../../gen/log/v1/log_pb.js';
import { consumeResponsesBytes, readResponseBytes } from '../wire/responses.js';
import { encodedMessage } from './log-messages.js';
import type { ResponseWriter } from './response-writer.js';

/** Writes the response of a call. */
export const writerKey = createContextKey<ResponseWriter | undefined>(undefined);

/** What a message of a stream has in front of it, over Connect, gRPC and gRPC-Web alike: a flag and its length. */
const headBytes = 5;

function enveloped(message: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(headBytes + message.length);
  bytes.writeUInt8(0, 0);
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, headBytes);
  return bytes;
}

/** Followers that wait at the end of the log get the same result. */
const readEnvelopes = new WeakMap<ReadResult, Buffer>();

function readEnvelope(result: ReadResult): Buffer {
  let envelope = readEnvelopes.get(result);
  if (envelope === undefined) {
    envelope = enveloped(readResponseBytes(result));
    readEnvelopes.set(result, envelope);
  }
  return envelope;
}

/**
 * Sends encoded messages of a stream, past Connect where that would leave them as they are: its six generators take
 * twice as long for a message as the rest of its delivery. Yields those that Connect has to send.
 */
async function* send<Desc extends DescMessage>(
  schema: Desc,
  envelopes: Iterable<Buffer>,
  { values }: HandlerContext,
): AsyncGenerator<MessageShape<Desc>, void, void> {
  const writer = values.get(writerKey);
  for (const envelope of envelopes) {
    if (writer?.takesEnvelope(envelope.length - headBytes) !== true) {
      yield encodedMessage(schema, envelope.subarray(headBytes));
      continue;
    }
    const space = writer.sendEnvelope(envelope);
    if (space !== undefined) await space;
  }
}

/** `golog.v1.ReadResponse`s of a stream, one a result. */
export const sendReadResponses = (
  result: ReadResult,
  context: HandlerContext,
): AsyncGenerator<MessageShape<typeof ReadResponseSchema>, void, void> =>
  send(ReadResponseSchema, [readEnvelope(result)], context);

function* consumeEnvelopes({ batches }: ReadResult): Generator<Buffer, void, void> {
  for (const batch of batches) for (const message of consumeResponsesBytes(batch)) yield enveloped(message);
}

/** `log.v1.ConsumeResponse`s of a stream, one a record, each made when there is space for it. */
export const sendConsumeResponses = (
  result: ReadResult,
  context: HandlerContext,
): AsyncGenerator<MessageShape<typeof ConsumeResponseSchema>, void, void> =>
  send(ConsumeResponseSchema, consumeEnvelopes(result), context);
