import { create, toBinary } from '@bufbuild/protobuf';
import { entryOfBatch } from '../../../application/raft/batch-entry.js';
import { decodeChangeContext } from '../../../application/configuration/configuration-json.js';
import { InvalidInputError } from '../../../domain/log/errors.js';
import { decodeProducerChange } from '../../../domain/log/producer-change.js';
import {
  BatchKind,
  parseBatch,
  type RecordBatch,
  type BatchChecksum,
  storedBytes,
} from '../../../domain/log/record-batch.js';
import { malformed } from '../../../domain/log/wire-reader.js';
import { decodeConfChange, MalformedConfChangeError } from '../../../domain/raft/conf-change.js';
import { ReadEntriesResponseSchema } from '../../../gen/golog/peer/v1/peer_service_pb.js';
import { peerMessage } from '../messages/peer-message.js';

export function encodeEntries(run: readonly RecordBatch[]): Buffer {
  const response = create(ReadEntriesResponseSchema, { batches: joinBatches(run) });
  return Buffer.from(toBinary(ReadEntriesResponseSchema, response));
}

/** Verifies each batch. Throws `InvalidInputError` if one is damaged or belongs to another log. */
export function decodeEntries(response: Uint8Array, checksum: BatchChecksum): RecordBatch[] {
  return splitBatches(peerMessage(ReadEntriesResponseSchema, response).batches, checksum);
}

/** Joins batches in their stored form: header, then payload. */
export function joinBatches(run: readonly RecordBatch[]): Buffer {
  return Buffer.concat(run.flatMap(({ header, payload }) => [header, payload]));
}

/** Splits joined batches into views of the bytes. Throws like `decodeEntries`. */
export function splitBatches(bytes: Uint8Array, checksum: BatchChecksum): RecordBatch[] {
  const batches: RecordBatch[] = [];
  for (let at = 0; at < bytes.length;) {
    const batch = verifiedBatch(bytes, at, checksum);
    batches.push(batch);
    at += storedBytes(batch);
  }
  return batches;
}

/**
 * Returns the batch at `at`, a view of the bytes. Throws `InvalidInputError` if it is damaged, belongs to another log,
 * or holds a change of the configuration or of producers that cannot be decoded: once in the log, such a batch would stop every node that
 * reads it.
 */
export function verifiedBatch(bytes: Uint8Array, at: number, checksum: BatchChecksum): RecordBatch {
  const batch = parseBatch(bytes, at, bytes.length, checksum);
  if (typeof batch === 'string') throw new InvalidInputError(`a peer sent a damaged batch: ${batch}`);
  if (batch.kind === BatchKind.configuration) checkChange(batch);
  if (batch.kind === BatchKind.producers && decodeProducerChange(batch.payload) === malformed)
    throw new InvalidInputError(`batch ${batch.index} from a peer is not a valid change of producers`);
  return batch;
}

function checkChange(batch: RecordBatch): void {
  const { type, data } = entryOfBatch(batch);
  try {
    decodeChangeContext(decodeConfChange(type, data));
  } catch (cause) {
    if (!(cause instanceof MalformedConfChangeError)) throw cause;
    throw new InvalidInputError(`batch ${batch.index} from a peer is not a valid configuration change`, { cause });
  }
}
