import {
  CorruptRangeError,
  DiskReserveError,
  ExpectedOffsetMismatchError,
  InvalidInputError,
  LogClosedError,
  LogFailedError,
  OffsetOutOfRangeError,
  TooLargeError,
} from '../domain/log/errors.js';
import {
  ProducerBatchTooOldError,
  ProducerConflictError,
  ProducerFencedError,
  ProducerSequenceGapError,
  ProducersMaxError,
} from '../domain/log/producer-errors.js';
import { FeatureNotEnabledError, MembershipError } from './ports/cluster.js';
import {
  OutcomeUnknownError,
  OverloadedError,
  PermissionDeniedError,
  QuorumDiskFullError,
  UnauthenticatedError,
  UnavailableError,
} from './errors.js';

/** gRPC's canonical code names that golog answers with. */
export type StatusCode =
  | 'CANCELLED'
  | 'INVALID_ARGUMENT'
  | 'ALREADY_EXISTS'
  | 'DEADLINE_EXCEEDED'
  | 'RESOURCE_EXHAUSTED'
  | 'FAILED_PRECONDITION'
  | 'ABORTED'
  | 'OUT_OF_RANGE'
  | 'INTERNAL'
  | 'UNAVAILABLE'
  | 'UNAUTHENTICATED'
  | 'PERMISSION_DENIED'
  | 'DATA_LOSS';

/** The answer to a caller about an error, on every transport. */
export interface Status {
  readonly code: StatusCode;
  /** The status of the JSON routes; Connect derives its own from the code. */
  readonly httpStatus: number;
  /** Safe to show: no stack, no path. */
  readonly message: string;
  /** The machine-readable cause, where it says more than the code. */
  readonly reason?: string;
  /** The error's data by name, as strings; goes into ErrorInfo metadata and into problem+json members. */
  readonly details: Readonly<Record<string, string>>;
  /** Set if trying again can help. */
  readonly retryAfterSeconds?: number;
  /** HOST:PORT of the leader, if it is known and can help. */
  readonly leaderAddr?: string;
}

function details(fields: object): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]));
}

/**
 * Maps domain and application errors to what a caller sees, for all transports. An abort keeps its
 * meaning: a `TimeoutError` is the deadline, an `UnavailableError` as abort reason is a shutdown, anything else means
 * that the caller left. An unknown error is a bug here: it becomes INTERNAL, and its message is not shown.
 */
export function statusOf(error: unknown): Status {
  if (error instanceof OffsetOutOfRangeError) {
    const { offset, logStartOffset, highWatermark } = error;
    return {
      code: 'OUT_OF_RANGE',
      httpStatus: 404,
      message: error.message,
      details: details({ offset, logStartOffset, highWatermark }),
    };
  }
  if (error instanceof ExpectedOffsetMismatchError) {
    const { expected, actual } = error;
    return {
      code: 'FAILED_PRECONDITION',
      httpStatus: 412,
      message: error.message,
      details: details({ expected, actual }),
    };
  }
  const ofProducer = producerStatus(error);
  if (ofProducer !== undefined) return ofProducer;
  if (error instanceof TooLargeError) {
    const { what, size, limit } = error;
    return {
      code: 'INVALID_ARGUMENT',
      httpStatus: 413,
      message: error.message,
      details: details({ what, size, limit }),
    };
  }
  if (error instanceof InvalidInputError) {
    return { code: 'INVALID_ARGUMENT', httpStatus: 400, message: error.message, details: {} };
  }
  if (error instanceof DiskReserveError) {
    const { freeBytes, reserveBytes } = error;
    return {
      code: 'RESOURCE_EXHAUSTED',
      httpStatus: 507,
      message: error.message,
      details: details({ limit: 'disk reserve', freeBytes, reserveBytes }),
    };
  }
  if (error instanceof QuorumDiskFullError) {
    return {
      code: 'RESOURCE_EXHAUSTED',
      httpStatus: 507,
      message: error.message,
      details: { limit: 'disk reserve', members: error.members.join(',') },
    };
  }
  if (error instanceof OverloadedError) {
    const { what, limit } = error;
    return {
      code: 'RESOURCE_EXHAUSTED',
      httpStatus: 429,
      message: error.message,
      details: details({ what, limit }),
      retryAfterSeconds: 1,
    };
  }
  if (error instanceof CorruptRangeError) {
    const { from, to } = error;
    return { code: 'DATA_LOSS', httpStatus: 500, message: error.message, details: details({ from, to }) };
  }
  if (error instanceof UnavailableError) {
    const { leaderAddr } = error;
    return {
      code: 'UNAVAILABLE',
      httpStatus: 503,
      message: error.message,
      details: leaderAddr === undefined ? {} : { leaderAddr },
      retryAfterSeconds: 1,
      ...(leaderAddr === undefined ? {} : { leaderAddr }),
    };
  }
  if (error instanceof LogClosedError || error instanceof LogFailedError) {
    return {
      code: 'UNAVAILABLE',
      httpStatus: 503,
      message: 'the log of this node is closed: the node is stopping',
      details: {},
      retryAfterSeconds: 1,
    };
  }
  if (error instanceof PermissionDeniedError || error instanceof UnauthenticatedError) {
    const { subject, action, object } = error;
    const isKnown = error instanceof PermissionDeniedError;
    return {
      code: isKnown ? 'PERMISSION_DENIED' : 'UNAUTHENTICATED',
      httpStatus: isKnown ? 403 : 401,
      message: error.message,
      details: details({ subject, action, object }),
    };
  }
  if (error instanceof OutcomeUnknownError) {
    return { code: 'ABORTED', httpStatus: 503, message: error.message, details: {} };
  }
  if (error instanceof MembershipError) {
    return { code: 'FAILED_PRECONDITION', httpStatus: 409, message: error.message, details: {} };
  }
  if (error instanceof FeatureNotEnabledError) {
    const { neededLevel, featureLevel } = error;
    return {
      code: 'FAILED_PRECONDITION',
      httpStatus: 412,
      reason: 'FEATURE_NOT_ENABLED',
      message: error.message,
      details: details({ neededLevel, featureLevel }),
    };
  }
  if (error instanceof DOMException && error.name === 'TimeoutError') {
    return { code: 'DEADLINE_EXCEEDED', httpStatus: 504, message: 'the deadline passed', details: {} };
  }
  if (error instanceof DOMException && error.name === 'AbortError') {
    return { code: 'CANCELLED', httpStatus: 499, message: 'the caller cancelled the call', details: {} };
  }
  return {
    code: 'INTERNAL',
    httpStatus: 500,
    message: 'internal error; the log of this node says more',
    details: {},
  };
}

function producerStatus(error: unknown): Status | undefined {
  const refused = { code: 'FAILED_PRECONDITION', httpStatus: 412 } as const;
  if (error instanceof ProducerFencedError) {
    const { message, id, epoch, currentEpoch } = error;
    return { ...refused, reason: 'PRODUCER_FENCED', message, details: details({ id, epoch, currentEpoch }) };
  }
  if (error instanceof ProducerSequenceGapError) {
    const { message, producer, expected } = error;
    return { ...refused, reason: 'PRODUCER_SEQUENCE_GAP', message, details: details({ ...producer, expected }) };
  }
  if (error instanceof ProducerConflictError) {
    const { message, producer } = error;
    return { ...refused, reason: 'PRODUCER_CONFLICT', message, details: details(producer) };
  }
  if (error instanceof ProducerBatchTooOldError) {
    const { message, producer } = error;
    return {
      code: 'ALREADY_EXISTS',
      httpStatus: 409,
      reason: 'PRODUCER_BATCH_TOO_OLD',
      message,
      details: details(producer),
    };
  }
  if (error instanceof ProducersMaxError) {
    const { message, limit } = error;
    return {
      code: 'RESOURCE_EXHAUSTED',
      httpStatus: 429,
      reason: 'PRODUCERS_MAX',
      message,
      details: details({ limit }),
    };
  }
  return undefined;
}
