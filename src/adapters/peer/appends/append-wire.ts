import { create, toBinary } from '@bufbuild/protobuf';
import type { AppendReceipt, ProposeOptions } from '../../../application/ports/consensus.js';
import { InvalidInputError } from '../../../domain/log/errors.js';
import { toIndex, toOffset, toTerm } from '../../../domain/log/offsets.js';
import type { Records } from '../../../domain/log/record-batch.js';
import { forEachRecord } from '../../../domain/log/records.js';
import type { AppendReceipt as WireReceipt } from '../../../gen/golog/peer/v1/peer_service_pb.js';
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

export interface ForwardedAppend {
  readonly id: number;
  readonly records: Records;
  readonly options: ProposeOptions;
}

export type AppendOutcome = { readonly receipt: AppendReceipt } | { readonly error: unknown };

export interface AppendAnswer {
  readonly id: number;
  readonly outcome: AppendOutcome;
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export function encodeAppends(appends: readonly ForwardedAppend[]): Buffer {
  const messages = appends.map(({ id, records, options: { expectedOffset } }) =>
    create(ForwardedAppendSchema, {
      id: BigInt(id),
      recordCount: records.count,
      records: records.payload,
      ...(expectedOffset !== undefined && { expectedOffset: BigInt(expectedOffset) }),
    }),
  );
  return asBuffer(toBinary(AppendRequestSchema, create(AppendRequestSchema, { appends: messages })));
}

/**
 * Returns the appends of a request; their records are views of its bytes. An append with wrong framing or a wrong
 * record count is returned with an `InvalidInputError`. Throws `InvalidInputError` if the request itself is malformed.
 */
export function decodeAppends(request: Uint8Array): (ForwardedAppend | { id: number; error: InvalidInputError })[] {
  return peerMessage(AppendRequestSchema, request).appends.map((append) => {
    const id = safeNumber(append.id);
    try {
      const { records: payload, recordCount: count, expectedOffset } = append;
      checkRecords(payload, count);
      const options = expectedOffset === undefined ? {} : { expectedOffset: toOffset(safeNumber(expectedOffset)) };
      return { id, records: { payload, count }, options };
    } catch (error) {
      if (error instanceof InvalidInputError) return { id, error };
      throw error;
    }
  });
}

function checkRecords(payload: Uint8Array, count: number): void {
  let found = 0;
  forEachRecord(payload, () => found++);
  if (found === 0 || found !== count)
    throw new InvalidInputError(`a forwarded batch has ${found} records; its header expects ${count}`);
}

export function encodeAnswers(answers: readonly AppendAnswer[]): Buffer {
  const messages = answers.map(({ id, outcome }) =>
    create(ForwardedAppendAnswerSchema, {
      id: BigInt(id),
      outcome:
        'receipt' in outcome
          ? { case: 'receipt', value: wireReceipt(outcome.receipt) }
          : {
              case: 'error',
              value: create(AppendErrorSchema, {
                kind: appendErrorKind(outcome.error) ?? { case: 'internal', value: {} },
              }),
            },
    }),
  );
  return asBuffer(toBinary(AppendResponseSchema, create(AppendResponseSchema, { answers: messages })));
}

/** Throws `InvalidInputError`. */
export function decodeAnswers(response: Uint8Array): AppendAnswer[] {
  return peerMessage(AppendResponseSchema, response).answers.map(({ id, outcome }) => {
    switch (outcome.case) {
      case 'receipt':
        return { id: safeNumber(id), outcome: { receipt: receiptOf(outcome.value) } };
      case 'error':
        return { id: safeNumber(id), outcome: { error: appendErrorOf(outcome.value) } };
      case undefined:
        return { id: safeNumber(id), outcome: { error: appendErrorOf(create(AppendErrorSchema)) } };
    }
  });
}

function wireReceipt({ baseOffset, recordCount, term, index, syncedOn }: AppendReceipt): WireReceipt {
  return create(AppendReceiptSchema, {
    baseOffset: BigInt(baseOffset),
    recordCount,
    term: BigInt(term),
    index: BigInt(index),
    syncedOn: [...syncedOn],
  });
}

function receiptOf({ baseOffset, recordCount, term, index, syncedOn }: WireReceipt): AppendReceipt {
  return {
    baseOffset: toOffset(safeNumber(baseOffset)),
    recordCount,
    term: toTerm(safeNumber(term)),
    index: toIndex(safeNumber(index)),
    syncedOn,
  };
}
