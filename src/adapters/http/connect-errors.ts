import { Code, ConnectError } from '@connectrpc/connect';
import type { Logger } from '../../application/ports/logger.js';
import { type Status, type StatusCode, statusOf } from '../../application/error-status.js';
import type { OverloadedError } from '../../application/errors.js';
import { errorDetails, headerValue, isFault, leaderHeader } from '../wire/error-answers.js';

const codes: Record<StatusCode, Code> = {
  CANCELLED: Code.Canceled,
  INVALID_ARGUMENT: Code.InvalidArgument,
  DEADLINE_EXCEEDED: Code.DeadlineExceeded,
  RESOURCE_EXHAUSTED: Code.ResourceExhausted,
  FAILED_PRECONDITION: Code.FailedPrecondition,
  ABORTED: Code.Aborted,
  OUT_OF_RANGE: Code.OutOfRange,
  INTERNAL: Code.Internal,
  UNAVAILABLE: Code.Unavailable,
  UNAUTHENTICATED: Code.Unauthenticated,
  PERMISSION_DENIED: Code.PermissionDenied,
  DATA_LOSS: Code.DataLoss,
  ALREADY_EXISTS: Code.AlreadyExists,
};

/**
 * What a caller gets to see of an error. One that is not in the closed union of `statusOf` is logged here, and the
 * caller learns nothing of it.
 */
export function toConnectError(error: unknown, procedure: string, logger: Logger): ConnectError {
  // Connect's own: cancellation, the deadline, a message that cannot be parsed.
  if (error instanceof ConnectError) return error;
  const status = statusOf(error);
  if (isFault(status)) logger.error('call_failed', { error, method: procedure }, 'call failed');
  return connectErrorOf(status, error);
}

/** What a caller whose request is refused for want of memory gets to see. */
export function refusedRequest(refusal: OverloadedError): ConnectError {
  return connectErrorOf(statusOf(refusal), refusal);
}

function connectErrorOf(status: Status, cause: unknown): ConnectError {
  const metadata = new Headers();
  if (status.leaderAddr !== undefined) metadata.set(leaderHeader, headerValue(status.leaderAddr));
  if (status.retryAfterSeconds !== undefined) metadata.set('retry-after', String(status.retryAfterSeconds));
  const connectError = new ConnectError(status.message, codes[status.code], metadata, undefined, cause);
  connectError.details.push(...errorDetails(status));
  return connectError;
}
