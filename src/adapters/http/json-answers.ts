import { create, type DescMessage, type MessageShape, toJson } from '@bufbuild/protobuf';
import { TimestampSchema } from '@bufbuild/protobuf/wkt';
import type { ReadResult } from '../../application/ports/commit-log.js';
import { decodeRecordInSteps } from '../../domain/log/record.js';
import { producerOf, type RecordBatch } from '../../domain/log/record-batch.js';
import { recordsOf } from '../../domain/log/records.js';
import { type ConsumeResponse, ConsumeResponseSchema } from '../../gen/log/v1/log_pb.js';
import { type ReadResponse, ReadResponseSchema } from '../../gen/golog/v1/log_service_pb.js';
import { base64Text, encodeInSlices, isShort, type JsonText, shortBase64, stringText } from './json-text.js';
import { timestamp } from './log-messages.js';

// Answers as JSON, made of the stored bytes. The generated code makes an object of each record first, and all of the
// answer in one go: a batch of a mebibyte was 1.8 s in which the node did nothing else. Tested against the generated
// code.

/** The members of a JSON object that are not left out for being what a missing one means. */
function* members(all: readonly (readonly [name: string, text: JsonText | string | undefined])[]): JsonText {
  let separator = '{';
  for (const [name, text] of all) {
    if (text === undefined) continue;
    yield `${separator}"${name}":`;
    if (typeof text === 'string') yield text;
    else yield* text;
    separator = ',';
  }
  yield separator === '{' ? '{}' : '}';
}

function uint64(value: number): string | undefined {
  return value === 0 ? undefined : `"${value}"`;
}

function bytesText(bytes: Uint8Array | undefined): JsonText | undefined {
  return bytes === undefined || bytes.length === 0 ? undefined : base64Text(bytes);
}

function timeText(batch: RecordBatch): string {
  return JSON.stringify(toJson(TimestampSchema, timestamp(batch.appendTimeMs)));
}

function* headersText(headers: ReadonlyMap<string, Uint8Array>): JsonText {
  let separator = '{';
  for (const [name, value] of headers) {
    // There may be 100,000 of them, and a generator for each takes longer than the rest.
    if (isShort(name) && isShort(value)) yield `${separator}${JSON.stringify(name)}:${shortBase64(value)}`;
    else {
      yield separator;
      yield* stringText(name);
      yield ':';
      yield* base64Text(value);
    }
    separator = ',';
  }
  yield '}';
}

type Member = readonly [name: string, text: JsonText | string | undefined];

/** `log.v1.Record`, with what is said of it besides what is stored. */
function* recordText(bytes: Uint8Array, ...ofServer: readonly Member[]): JsonText {
  const steps = decodeRecordInSteps(bytes);
  let step = steps.next();
  for (; step.done !== true; step = steps.next()) yield '';
  const { value, key, headers } = step.value;
  yield* members([
    ['value', bytesText(value)],
    ...ofServer,
    ['key', bytesText(key)],
    ['headers', headers === undefined ? undefined : headersText(headers)],
  ]);
}

function* recordsText(batch: RecordBatch): JsonText {
  let separator = '[';
  for (const bytes of recordsOf(batch.payload)) {
    yield separator;
    yield* recordText(bytes);
    separator = ',';
  }
  yield ']';
}

function* batchesText(batches: readonly RecordBatch[]): JsonText {
  let separator = '[';
  for (const batch of batches) {
    yield separator;
    yield* members([
      ['baseOffset', uint64(batch.baseOffset)],
      ['term', uint64(batch.term)],
      ['appendTime', timeText(batch)],
      ['records', batch.recordCount === 0 ? undefined : recordsText(batch)],
      ['producer', producerText(batch)],
    ]);
    separator = ',';
  }
  yield ']';
}

/** Zeros are left out, as everywhere in the JSON of protobuf. */
function producerText(batch: RecordBatch): string | undefined {
  const producer = producerOf(batch);
  if (producer === undefined) return undefined;
  const { id, epoch, sequence } = producer;
  return JSON.stringify({
    id,
    ...(epoch > 0 && { epoch: String(epoch) }),
    ...(sequence > 0 && { sequence: String(sequence) }),
  });
}

function readResponseText({ batches, logStartOffset, highWatermark }: ReadResult): JsonText {
  return members([
    ['batches', batches.length === 0 ? undefined : batchesText(batches)],
    ['logStartOffset', uint64(logStartOffset)],
    ['highWatermark', uint64(highWatermark)],
  ]);
}

function* consumeResponseText(batch: RecordBatch, bytes: Uint8Array, i: number): JsonText {
  yield '{"record":';
  yield* recordText(
    bytes,
    ['offset', uint64(batch.baseOffset + i)],
    ['term', uint64(batch.term)],
    ['appendTime', timeText(batch)],
  );
  yield '}';
}

/** The bytes of the stand-in that is being encoded. */
let encoded: Uint8Array | undefined;
const standInText = '{}';

/**
 * A message without content that `answerEncoder` encodes as `bytes`. Connect encodes whatever a handler answers at once
 * and by itself; it reads the field `name`, and then has the text made into bytes, in the same call.
 */
function standIn<Desc extends DescMessage>(
  schema: Desc,
  name: string,
  nothing: unknown,
  bytes: Uint8Array,
): MessageShape<Desc> {
  const get = (): unknown => {
    encoded = bytes;
    return nothing;
  };
  return Object.defineProperty(create(schema), name, { get, enumerable: true });
}

/** Connect encodes JSON by an encoder that it is given, though its types do not say so. */
export const answerEncoder = {
  encode(text: string): Uint8Array {
    const bytes = text === standInText ? encoded : undefined;
    encoded = undefined;
    return bytes ?? Buffer.from(text);
  },
};

/** Encoded in slices; only for JSON, and for a result that is cut to a page. */
export async function jsonReadResponse(result: ReadResult): Promise<ReadResponse> {
  return standIn(ReadResponseSchema, 'batches', [], await encodeInSlices(readResponseText(result)));
}

/** One response a record, encoded in slices; only for JSON. */
export async function* jsonConsumeResponses(batch: RecordBatch): AsyncGenerator<ConsumeResponse, void, void> {
  let i = 0;
  for (const bytes of recordsOf(batch.payload)) {
    const text = consumeResponseText(batch, bytes, i);
    yield standIn(ConsumeResponseSchema, 'record', undefined, await encodeInSlices(text));
    i += 1;
  }
}
