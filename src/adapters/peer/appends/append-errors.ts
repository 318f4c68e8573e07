import {
  OutcomeUnknownError,
  OverloadedError,
  QuorumDiskFullError,
  UnavailableError,
} from '../../../application/errors.js';
import {
  CorruptRangeError,
  DamagedEndError,
  DiskReserveError,
  ExpectedOffsetMismatchError,
  InvalidInputError,
  LogClosedError,
  LogFailedError,
  TooLargeError,
} from '../../../domain/log/errors.js';
import { toOffset } from '../../../domain/log/offsets.js';
import type { AppendError } from '../../../gen/golog/peer/v1/peer_service_pb.js';
import { safeNumber } from '../safe-number.js';
import { type ErrorKind, producerErrorKind, producerErrorOf } from './producer-wire.js';

/** Returns the wire form of an append's error, or undefined for a bug in the leader, which the caller logs. */
export function appendErrorKind(error: unknown): ErrorKind | undefined {
  if (error instanceof UnavailableError) {
    const { message, leaderAddr } = error;
    return { case: 'unavailable', value: leaderAddr === undefined ? { message } : { message, leaderAddr } };
  }
  if (error instanceof OutcomeUnknownError) return { case: 'outcomeUnknown', value: { message: error.message } };
  if (error instanceof OverloadedError)
    return { case: 'overloaded', value: { what: error.what, limit: BigInt(error.limit) } };
  if (error instanceof ExpectedOffsetMismatchError) {
    const { expected, actual } = error;
    return { case: 'expectedOffsetMismatch', value: { expected: BigInt(expected), actual: BigInt(actual) } };
  }
  if (error instanceof TooLargeError) {
    const { what, size, limit, recordNumber: place } = error;
    const value = { isRecord: what === 'record', size: BigInt(size), limit: BigInt(limit) };
    return { case: 'tooLarge', value: place === undefined ? value : { ...value, place } };
  }
  if (error instanceof InvalidInputError) return { case: 'invalidInput', value: { message: error.message } };
  if (error instanceof DiskReserveError) {
    const { freeBytes, reserveBytes } = error;
    return { case: 'diskReserve', value: { freeBytes: BigInt(freeBytes), reserveBytes: BigInt(reserveBytes) } };
  }
  if (error instanceof QuorumDiskFullError) return { case: 'quorumDiskFull', value: { members: [...error.members] } };
  if (error instanceof CorruptRangeError) {
    const { from, to, reason } = error;
    const isEnd = error instanceof DamagedEndError;
    return { case: 'corruptRange', value: { from: BigInt(from), to: BigInt(to), reason, isEnd } };
  }
  if (error instanceof LogClosedError || error instanceof LogFailedError)
    return {
      case: 'unavailable',
      value: { message: 'the log of the leader is closed because the leader is stopping; retry' },
    };
  return producerErrorKind(error);
}

/** Rebuilds the error at the follower. If the leader could not name the error, the outcome of the append is unknown. */
export function appendErrorOf(error: AppendError): Error {
  const { kind } = error;
  switch (kind.case) {
    case 'unavailable':
      return new UnavailableError(kind.value.message, kind.value.leaderAddr);
    case 'outcomeUnknown':
      return new OutcomeUnknownError(kind.value.message);
    case 'overloaded':
      return new OverloadedError(kind.value.what, safeNumber(kind.value.limit));
    case 'expectedOffsetMismatch': {
      const { expected, actual } = kind.value;
      const exact = expected <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(expected) : expected;
      return new ExpectedOffsetMismatchError(exact, toOffset(safeNumber(actual)));
    }
    case 'tooLarge': {
      const { isRecord, size, limit, place } = kind.value;
      return new TooLargeError(isRecord ? 'record' : 'batch', safeNumber(size), safeNumber(limit), place);
    }
    case 'invalidInput':
      return new InvalidInputError(kind.value.message);
    case 'diskReserve':
      return new DiskReserveError(safeNumber(kind.value.freeBytes), safeNumber(kind.value.reserveBytes));
    case 'quorumDiskFull':
      return new QuorumDiskFullError(kind.value.members);
    case 'corruptRange': {
      const { from, to, reason, isEnd } = kind.value;
      const Corrupt = isEnd ? DamagedEndError : CorruptRangeError;
      return new Corrupt(toOffset(safeNumber(from)), toOffset(safeNumber(to)), reason);
    }
    default:
      return producerErrorOf(error) ?? new OutcomeUnknownError('the leader failed during an append; see its log');
  }
}
