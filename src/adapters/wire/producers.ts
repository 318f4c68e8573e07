import { create, fromBinary } from '@bufbuild/protobuf';
import type { OpenedProducer, ProducerOpening } from '../../application/ports/consensus.js';
import type { Producer } from '../../domain/log/batch-prefix.js';
import { InvalidInputError } from '../../domain/log/errors.js';
import { producerIdOrThrow } from '../../domain/log/producer-id.js';
import {
  type CloseProducerRequest,
  type OpenProducerRequest,
  type OpenProducerResponse,
  OpenProducerResponseSchema,
  type Producer as ProducerMessage,
  ProducerSchema,
} from '../../gen/golog/v1/log_service_pb.js';
import { safeIntegerMax } from './offset.js';

function numberOrThrow(value: bigint, what: 'epoch' | 'sequence'): number {
  if (value > safeIntegerMax)
    throw new InvalidInputError(`the ${what} of a producer is ${value}: expected at most ${safeIntegerMax}`);
  return Number(value);
}

/** Parses an encoded `golog.v1.Producer`. Throws `InvalidInputError`. */
export function producerOf(bytes: Uint8Array): Producer {
  let message: ProducerMessage;
  try {
    message = fromBinary(ProducerSchema, bytes);
  } catch (cause) {
    throw new InvalidInputError('the producer is malformed: expected a golog.v1.Producer', { cause });
  }
  const { id, epoch, sequence } = message;
  return {
    id: producerIdOrThrow(id),
    epoch: numberOrThrow(epoch, 'epoch'),
    sequence: numberOrThrow(sequence, 'sequence'),
  };
}

export function producerMessage({ id, epoch, sequence }: Producer): ProducerMessage {
  return create(ProducerSchema, { id, epoch: BigInt(epoch), sequence: BigInt(sequence) });
}

/** Throws `InvalidInputError` for an invalid id, or none without `ephemeral`. */
export function planOpening({ id, epoch, ephemeral }: OpenProducerRequest): ProducerOpening {
  if (id === '' && !ephemeral)
    throw new InvalidInputError('there is no id: expected one, or ephemeral, for which the server makes one');
  return {
    id: id === '' ? id : producerIdOrThrow(id),
    isEphemeral: ephemeral,
    ...(epoch !== undefined && { epoch: numberOrThrow(epoch, 'epoch') }),
  };
}

/** Throws as `planOpening`. */
export function planClosing({ id, epoch }: CloseProducerRequest): Pick<Producer, 'id' | 'epoch'> {
  return { id: producerIdOrThrow(id), epoch: numberOrThrow(epoch, 'epoch') };
}

export function openedResponse({ id, epoch, last }: OpenedProducer): OpenProducerResponse {
  return create(OpenProducerResponseSchema, {
    id,
    epoch: BigInt(epoch),
    ...(last && { lastSequence: BigInt(last.sequence), lastBaseOffset: BigInt(last.baseOffset) }),
  });
}
