import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { InvalidInputError } from '../../domain/log/errors.js';
import { parseBatch, type RecordBatch, type Seal, storedBytes } from '../../domain/log/record-batch.js';
import { ReadEntriesResponseSchema } from '../../gen/golog/peer/v1/peer_service_pb.js';

export function encodeEntries(run: readonly RecordBatch[]): Buffer {
  const response = create(ReadEntriesResponseSchema, { batches: joinBatches(run) });
  return Buffer.from(toBinary(ReadEntriesResponseSchema, response));
}

/** Verifies each batch: throws `InvalidInputError` where one is damaged, or of another log. */
export function decodeEntries(response: Uint8Array, seal: Seal): RecordBatch[] {
  return splitBatches(fromBinary(ReadEntriesResponseSchema, response).batches, seal);
}

/** As a store holds them. */
export function joinBatches(run: readonly RecordBatch[]): Buffer {
  return Buffer.concat(run.flatMap(({ header, payload }) => [header, payload]));
}

/** Views of the bytes. Throws as `decodeEntries`. */
export function splitBatches(bytes: Uint8Array, seal: Seal): RecordBatch[] {
  const batches: RecordBatch[] = [];
  for (let at = 0; at < bytes.length;) {
    const batch = parseBatch(bytes, at, bytes.length, seal);
    if (typeof batch === 'string') throw new InvalidInputError(`a batch of a peer is damaged: ${batch}`);
    batches.push(batch);
    at += storedBytes(batch);
  }
  return batches;
}
