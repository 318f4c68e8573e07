import { create, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { type Timestamp, TimestampSchema } from '@bufbuild/protobuf/wkt';
import type { AppendReceipt } from '../../application/ports/consensus.js';
import type { Producer } from '../../domain/log/batch-prefix.js';
import type { EpochMs } from '../../domain/log/offsets.js';
import { type AppendResponse, AppendResponseSchema } from '../../gen/golog/v1/log_service_pb.js';
import { producerMessage } from '../wire/producers.js';

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

/**
 * A message that the encoder writes out as these bytes, which are one of its kind encoded. Only for the binary encoding:
 * no field of it is set.
 */
export function encodedMessage<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  const message = create(schema);
  if (bytes.length > 0) {
    const reader = new BinaryReader(bytes);
    const [no, wireType] = reader.tag();
    // The encoder writes an unknown field's tag and then its data, whatever that is.
    message.$unknown = [{ no, wireType, data: bytes.subarray(reader.pos) }];
  }
  return message;
}
