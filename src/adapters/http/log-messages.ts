import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { type Timestamp, TimestampSchema } from '@bufbuild/protobuf/wkt';
import type { ReadResult } from '../../application/ports/commit-log.js';
import type { AppendReceipt } from '../../application/ports/consensus.js';
import type { Producer } from '../../domain/log/batch-prefix.js';
import type { EpochMs } from '../../domain/log/offsets.js';
import { producerOf, type RecordBatch } from '../../domain/log/record-batch.js';
import { RecordCursor } from '../../domain/log/records.js';
import {
  type AppendResponse,
  AppendResponseSchema,
  type ReadResponse,
  ReadResponseSchema,
  type RecordBatch as RecordBatchMessage,
  RecordBatchSchema,
} from '../../gen/golog/v1/log_service_pb.js';
import { producerMessage } from '../wire/producers.js';
import {
  type ConsumeResponse,
  ConsumeResponseSchema,
  type Record as RecordMessage,
  RecordSchema,
} from '../../gen/log/v1/log_pb.js';

export function appendResponse(receipt: AppendReceipt, producer?: Producer): AppendResponse {
  return create(AppendResponseSchema, {
    baseOffset: BigInt(receipt.baseOffset),
    recordCount: receipt.recordCount,
    receipt: { term: BigInt(receipt.term), index: BigInt(receipt.index), syncedOn: [...receipt.syncedOn] },
    ...(receipt.isDuplicate && { duplicate: true }),
    ...(producer && { producer: producerMessage(producer) }),
  });
}

export function timestamp(ms: EpochMs): Timestamp {
  return create(TimestampSchema, { seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1_000_000 });
}

/** The stored record as unknown fields, which the encoder writes out as they are. */
function opaqueRecord(bytes: Uint8Array): RecordMessage {
  const message = create(RecordSchema);
  if (bytes.length > 0) {
    const reader = new BinaryReader(bytes);
    const [no, wireType] = reader.tag();
    message.$unknown = [{ no, wireType, data: bytes.subarray(reader.pos) }];
  }
  return message;
}

/** One response a record, made when it is asked for; for the binary encoding: stored bytes pass into it as they are. */
export function* consumeResponses(batch: RecordBatch): Generator<ConsumeResponse, void, void> {
  const appendTime = timestamp(batch.appendTimeMs);
  const cursor = new RecordCursor(batch.payload);
  for (let offset: number = batch.baseOffset; cursor.next(); offset += 1) {
    const record = opaqueRecord(batch.payload.subarray(cursor.start, cursor.end));
    record.offset = BigInt(offset);
    record.term = BigInt(batch.term);
    record.appendTime = appendTime;
    yield create(ConsumeResponseSchema, { record });
  }
}

function batchMessage(batch: RecordBatch): RecordBatchMessage {
  const message = create(RecordBatchSchema, {
    baseOffset: BigInt(batch.baseOffset),
    term: BigInt(batch.term),
    appendTime: timestamp(batch.appendTimeMs),
    ...producerField(batch),
  });
  // The payload is a run of fields 4 already; the encoder writes the first one's tag.
  if (batch.payload.length > 0)
    message.$unknown = [{ no: 4, wireType: WireType.LengthDelimited, data: batch.payload.subarray(1) }];
  return message;
}

function producerField(batch: RecordBatch): Pick<MessageInitShape<typeof RecordBatchSchema>, 'producer'> {
  const producer = producerOf(batch);
  if (producer === undefined) return {};
  const { id, epoch, sequence } = producer;
  return { producer: { id, epoch: BigInt(epoch), sequence: BigInt(sequence) } };
}

/** For the binary encoding: stored bytes pass into it as they are. */
export function readResponse(result: ReadResult): ReadResponse {
  return create(ReadResponseSchema, {
    batches: result.batches.map((batch) => batchMessage(batch)),
    logStartOffset: BigInt(result.logStartOffset),
    highWatermark: BigInt(result.highWatermark),
  });
}
