import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type {
  AppendReceipt,
  OpenedProducer,
  ProducerOpening,
  ProposeOptions,
} from '../../../application/ports/consensus.js';
import { InvalidInputError } from '../../../domain/log/errors.js';
import { toIndex, toOffset, toTerm } from '../../../domain/log/offsets.js';
import type { Records } from '../../../domain/log/record-batch.js';
import { forEachRecord } from '../../../domain/log/records.js';
import type { AppendReceipt as WireReceipt, ForwardedAppend } from '../../../gen/golog/peer/v1/peer_service_pb.js';
import {
  AppendErrorSchema,
  AppendReceiptSchema,
  AppendRequestSchema,
  AppendResponseSchema,
  ForwardedAppendAnswerSchema,
  ForwardedAppendSchema,
} from '../../../gen/golog/peer/v1/peer_service_pb.js';
import { appendErrorKind, appendErrorOf } from './append-errors.js';
import { peerMessage } from '../messages/peer-message.js';
import { safeNumber } from '../safe-number.js';
import {
  closingOf,
  openedMessage,
  openedOf,
  openingMessage,
  openingOf,
  type ProducerClosing,
  producerMessage,
  producerOf,
} from './producer-wire.js';

/** What a node asks of the leader. */
export type LeaderCall =
  | { readonly records: Records; readonly options: ProposeOptions }
  | { readonly opening: ProducerOpening }
  | { readonly closing: ProducerClosing };

export type ForwardedCall = LeaderCall & { readonly id: number };

export type CallOutcome =
  | { readonly receipt: AppendReceipt }
  | { readonly opened: OpenedProducer }
  | { readonly isClosed: true }
  | { readonly error: unknown };

export interface CallAnswer {
  readonly id: number;
  readonly outcome: CallOutcome;
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export function encodeCalls(calls: readonly ForwardedCall[]): Buffer {
  const appends = calls.map((call) => create(ForwardedAppendSchema, { id: BigInt(call.id), ...callFields(call) }));
  return asBuffer(toBinary(AppendRequestSchema, create(AppendRequestSchema, { appends })));
}

function callFields(call: LeaderCall): MessageInitShape<typeof ForwardedAppendSchema> {
  if ('opening' in call) return { change: { case: 'opening', value: openingMessage(call.opening) } };
  if ('closing' in call) {
    const { id, epoch } = call.closing;
    return { change: { case: 'closing', value: { id, epoch: BigInt(epoch) } } };
  }
  const { records, options } = call;
  const { expectedOffset, producer } = options;
  return {
    recordCount: records.count,
    records: records.payload,
    ...(expectedOffset !== undefined && { expectedOffset: BigInt(expectedOffset) }),
    ...(producer && { producer: producerMessage(producer) }),
  };
}

/**
 * Returns the calls of a request; their records are views of its bytes. One with wrong framing, a wrong record count or
 * a producer out of range is returned with an `InvalidInputError`. Throws `InvalidInputError` if the request itself is
 * malformed.
 */
export function decodeCalls(request: Uint8Array): (ForwardedCall | { id: number; error: InvalidInputError })[] {
  return peerMessage(AppendRequestSchema, request).appends.map((append) => {
    const id = safeNumber(append.id);
    try {
      return { id, ...callOf(append) };
    } catch (error) {
      if (error instanceof InvalidInputError) return { id, error };
      throw error;
    }
  });
}

function callOf({
  records: payload,
  recordCount: count,
  expectedOffset,
  producer,
  change,
}: ForwardedAppend): LeaderCall {
  if (change.case === 'opening') return { opening: openingOf(change.value) };
  if (change.case === 'closing') return { closing: closingOf(change.value) };
  checkRecords(payload, count);
  const options = {
    ...(expectedOffset !== undefined && { expectedOffset: toOffset(safeNumber(expectedOffset)) }),
    ...(producer && { producer: producerOf(producer) }),
  };
  return { records: { payload, count }, options };
}

function checkRecords(payload: Uint8Array, count: number): void {
  let found = 0;
  forEachRecord(payload, () => found++);
  if (found === 0 || found !== count)
    throw new InvalidInputError(`a forwarded batch has ${found} records; its header expects ${count}`);
}

export function encodeAnswers(answers: readonly CallAnswer[]): Buffer {
  const messages = answers.map(({ id, outcome }) =>
    create(ForwardedAppendAnswerSchema, { id: BigInt(id), outcome: wireOutcome(outcome) }),
  );
  return asBuffer(toBinary(AppendResponseSchema, create(AppendResponseSchema, { answers: messages })));
}

function wireOutcome(
  outcome: CallOutcome,
): NonNullable<MessageInitShape<typeof ForwardedAppendAnswerSchema>['outcome']> {
  if ('receipt' in outcome) return { case: 'receipt', value: wireReceipt(outcome.receipt) };
  if ('opened' in outcome) return { case: 'opened', value: openedMessage(outcome.opened) };
  if ('isClosed' in outcome) return { case: 'closed', value: {} };
  const kind = appendErrorKind(outcome.error) ?? { case: 'internal', value: {} };
  return { case: 'error', value: create(AppendErrorSchema, { kind }) };
}

/** Throws `InvalidInputError`. */
export function decodeAnswers(response: Uint8Array): CallAnswer[] {
  return peerMessage(AppendResponseSchema, response).answers.map(({ id, outcome }) => {
    switch (outcome.case) {
      case 'receipt':
        return { id: safeNumber(id), outcome: { receipt: receiptOf(outcome.value) } };
      case 'opened':
        return { id: safeNumber(id), outcome: { opened: openedOf(outcome.value) } };
      case 'closed':
        return { id: safeNumber(id), outcome: { isClosed: true } };
      case 'error':
        return { id: safeNumber(id), outcome: { error: appendErrorOf(outcome.value) } };
      case undefined:
        return { id: safeNumber(id), outcome: { error: appendErrorOf(create(AppendErrorSchema)) } };
    }
  });
}

function wireReceipt({ baseOffset, recordCount, term, index, syncedOn, isDuplicate }: AppendReceipt): WireReceipt {
  return create(AppendReceiptSchema, {
    baseOffset: BigInt(baseOffset),
    recordCount,
    term: BigInt(term),
    index: BigInt(index),
    syncedOn: [...syncedOn],
    duplicate: isDuplicate === true,
  });
}

function receiptOf({ baseOffset, recordCount, term, index, syncedOn, duplicate }: WireReceipt): AppendReceipt {
  return {
    baseOffset: toOffset(safeNumber(baseOffset)),
    recordCount,
    term: toTerm(safeNumber(term)),
    index: toIndex(safeNumber(index)),
    syncedOn,
    ...(duplicate && { isDuplicate: true }),
  };
}
