import type { MessageInitShape } from '@bufbuild/protobuf';
import { FeatureNotEnabledError } from '../../../application/ports/cluster.js';
import type { OpenedProducer, ProducerOpening } from '../../../application/ports/consensus.js';
import type { Producer } from '../../../domain/log/batch-prefix.js';
import { InvalidInputError } from '../../../domain/log/errors.js';
import { toOffset } from '../../../domain/log/offsets.js';
import {
  ProducerBatchTooOldError,
  ProducerConflictError,
  ProducerFencedError,
  ProducerSequenceGapError,
  ProducersMaxError,
} from '../../../domain/log/producer-errors.js';
import { producerIdOrThrow } from '../../../domain/log/producer-id.js';
import type {
  AppendError,
  AppendErrorSchema,
  OpenedProducer as OpenedMessage,
  OpenedProducerSchema,
  Producer as ProducerMessage,
  ProducerClosing as ClosingMessage,
  ProducerOpening as OpeningMessage,
  ProducerOpeningSchema,
  ProducerSchema,
} from '../../../gen/golog/peer/v1/peer_service_pb.js';
import { safeNumber } from '../safe-number.js';

export type ErrorKind = NonNullable<MessageInitShape<typeof AppendErrorSchema>['kind']>;
/** A producer to close. */
export type ProducerClosing = Pick<Producer, 'id' | 'epoch'>;

export function producerMessage({ id, epoch, sequence }: Producer): MessageInitShape<typeof ProducerSchema> {
  return { id, epoch: BigInt(epoch), sequence: BigInt(sequence) };
}

/** Throws `InvalidInputError`, as all that read a message here. */
export function producerOf({ id, epoch, sequence }: ProducerMessage): Producer {
  return { id: producerIdOrThrow(id), epoch: safeNumber(epoch), sequence: safeNumber(sequence) };
}

export function openingMessage(opening: ProducerOpening): MessageInitShape<typeof ProducerOpeningSchema> {
  const { id, epoch, isEphemeral } = opening;
  return { id, ephemeral: isEphemeral, ...(epoch !== undefined && { epoch: BigInt(epoch) }) };
}

export function openingOf({ id, epoch, ephemeral }: OpeningMessage): ProducerOpening {
  return {
    id: id === '' && ephemeral ? id : producerIdOrThrow(id),
    isEphemeral: ephemeral,
    ...(epoch !== undefined && { epoch: safeNumber(epoch) }),
  };
}

export function closingOf({ id, epoch }: ClosingMessage): ProducerClosing {
  return { id: producerIdOrThrow(id), epoch: safeNumber(epoch) };
}

export function openedMessage({ id, epoch, last }: OpenedProducer): MessageInitShape<typeof OpenedProducerSchema> {
  return {
    id,
    epoch: BigInt(epoch),
    ...(last && { last: { sequence: BigInt(last.sequence), baseOffset: BigInt(last.baseOffset) } }),
  };
}

export function openedOf({ id, epoch, last }: OpenedMessage): OpenedProducer {
  return {
    id: producerIdOrThrow(id),
    epoch: safeNumber(epoch),
    ...(last && {
      last: { sequence: safeNumber(last.sequence), baseOffset: toOffset(safeNumber(last.baseOffset)) },
    }),
  };
}

/** Returns the wire form of an error that concerns producers; undefined for another error. */
export function producerErrorKind(error: unknown): ErrorKind | undefined {
  if (error instanceof ProducerFencedError) {
    const { id, epoch, currentEpoch } = error;
    return { case: 'producerFenced', value: { id, epoch: BigInt(epoch), currentEpoch: BigInt(currentEpoch) } };
  }
  if (error instanceof ProducerSequenceGapError) {
    const { producer, expected } = error;
    const value = { producer: producerMessage(producer), expected: BigInt(expected) };
    return { case: 'producerSequenceGap', value };
  }
  if (error instanceof ProducerConflictError)
    return { case: 'producerConflict', value: producerMessage(error.producer) };
  if (error instanceof ProducerBatchTooOldError)
    return { case: 'producerBatchTooOld', value: producerMessage(error.producer) };
  if (error instanceof ProducersMaxError)
    return { case: 'producersMax', value: { isEphemeral: error.isEphemeral, limit: BigInt(error.limit) } };
  if (error instanceof FeatureNotEnabledError) {
    const { neededLevel, featureLevel } = error;
    const value = { neededLevel: BigInt(neededLevel), featureLevel: BigInt(featureLevel) };
    return { case: 'featureNotEnabled', value };
  }
  return undefined;
}

/** Rebuilds an error that concerns producers; undefined for another one. */
export function producerErrorOf({ kind }: AppendError): Error | undefined {
  switch (kind.case) {
    case 'producerFenced': {
      const { id, epoch, currentEpoch } = kind.value;
      return new ProducerFencedError(producerIdOrThrow(id), safeNumber(epoch), safeNumber(currentEpoch));
    }
    case 'producerSequenceGap': {
      const { producer, expected } = kind.value;
      if (producer === undefined) throw new InvalidInputError('a peer reports a gap without its producer');
      return new ProducerSequenceGapError(producerOf(producer), safeNumber(expected));
    }
    case 'producerConflict':
      return new ProducerConflictError(producerOf(kind.value));
    case 'producerBatchTooOld':
      return new ProducerBatchTooOldError(producerOf(kind.value));
    case 'producersMax':
      return new ProducersMaxError(kind.value.isEphemeral, safeNumber(kind.value.limit));
    case 'featureNotEnabled':
      return new FeatureNotEnabledError(safeNumber(kind.value.neededLevel), safeNumber(kind.value.featureLevel));
    default:
      return undefined;
  }
}
