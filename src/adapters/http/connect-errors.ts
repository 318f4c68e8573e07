import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Logger } from '../../application/ports/logger.js';
import { type Status, type StatusCode, statusOf } from '../../application/error-status.js';
import { leaderHeader } from './problem.js';

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
};

/** `google.rpc.ErrorInfo` (google/rpc/error_details.proto): reason = 1, domain = 2, map metadata = 3. */
export function errorInfoBytes(status: Status): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).string(status.code);
  writer.tag(2, WireType.LengthDelimited).string('golog.v1');
  for (const [name, value] of Object.entries(status.details)) {
    writer.tag(3, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(name);
    writer.tag(2, WireType.LengthDelimited).string(value);
    writer.join();
  }
  return writer.finish();
}

/** `google.rpc.RetryInfo`: retry_delay = 1, a Duration whose seconds = 1. */
function retryInfoBytes(seconds: number): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).fork().tag(1, WireType.Varint).int64(seconds).join();
  return writer.finish();
}

/** Header values are printable ASCII; anything else is percent-encoded, as in `grpc-message`. */
function headerValue(value: string): string {
  return value.replace(/[^\x20-\x7e]+/gu, (run) => encodeURIComponent(Buffer.from(run).toString()));
}

/**
 * What a caller gets to see of an error. One that is not in the closed union of `statusOf` is logged here, and the
 * caller learns nothing of it.
 */
export function toConnectError(error: unknown, procedure: string, logger: Logger): ConnectError {
  // Connect's own: cancellation, the deadline, a message that cannot be parsed.
  if (error instanceof ConnectError) return error;
  const status = statusOf(error);
  if (status.code === 'INTERNAL' || status.code === 'DATA_LOSS')
    logger.error('call_failed', { error, method: procedure }, 'call failed');
  const metadata = new Headers();
  if (status.leaderAddr !== undefined) metadata.set(leaderHeader, headerValue(status.leaderAddr));
  if (status.retryAfterSeconds !== undefined) metadata.set('retry-after', String(status.retryAfterSeconds));
  const connectError = new ConnectError(status.message, codes[status.code], metadata, undefined, error);
  connectError.details.push({ type: 'google.rpc.ErrorInfo', value: errorInfoBytes(status) });
  if (status.retryAfterSeconds !== undefined)
    connectError.details.push({ type: 'google.rpc.RetryInfo', value: retryInfoBytes(status.retryAfterSeconds) });
  return connectError;
}
