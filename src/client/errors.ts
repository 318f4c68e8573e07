import { type ServiceError, status } from '@grpc/grpc-js';

/** A call that the server or the connection ended with an error. */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  constructor(
    /** The canonical gRPC code, such as `OUT_OF_RANGE`. */
    readonly code: string,
    message: string,
    /** Further details from the server, such as `limit`, `size` or `high-watermark`. */
    readonly details: ReadonlyMap<string, string>,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** No server answers at the address. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError';
  constructor(
    readonly address: string,
    reason: string,
    options?: ErrorOptions,
  ) {
    super(`cannot reach ${address}: ${reason}`, options);
  }
}

/** A change, such as an append, may or may not have been made; repeating it could make it twice. */
export class OutcomeUnknownError extends Error {
  override readonly name = 'OutcomeUnknownError';
}

/** Another producer appends to the log at the same time, so the order of this producer cannot be kept. */
export class ConcurrentProducerError extends Error {
  override readonly name = 'ConcurrentProducerError';
}

/** The log no longer contains records that were acknowledged. */
export class AcknowledgedLossError extends Error {
  override readonly name = 'AcknowledgedLossError';
  constructor(
    readonly acknowledgedEnd: number,
    readonly highWatermark: number,
  ) {
    super(
      `records up to offset ${acknowledgedEnd} were acknowledged, but the log now ends at ${highWatermark}: records were lost, or this is another log`,
    );
  }
}

const transportCodes: ReadonlySet<string> = new Set(['UNAVAILABLE', 'CANCELLED', 'UNKNOWN', 'INTERNAL', 'ABORTED']);

/** Whether the call may succeed when repeated: the connection or the server was lost, or the server is overloaded. */
export function isTransient(error: unknown): boolean {
  if (error instanceof UnreachableError) return true;
  return (
    error instanceof RpcError &&
    (transportCodes.has(error.code) || error.code === 'RESOURCE_EXHAUSTED' || error.code === 'DEADLINE_EXCEEDED')
  );
}

/** Whether the server no longer has what was asked for, which another server may have. */
export function isDataLoss(error: unknown): error is RpcError {
  return error instanceof RpcError && error.code === 'DATA_LOSS';
}

const detailPrefix = 'golog-';

export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'metadata' in error;
}

/** Whether the server itself returned the error: it adds a rich status, which a lost connection does not have. */
export function isServerError(error: unknown): error is RpcError {
  if (!(error instanceof RpcError)) return false;
  const { cause } = error;
  return isServiceError(cause) && cause.metadata.get('grpc-status-details-bin').length > 0;
}

/**
 * Whether the server answered that it is short of something, such as disk space: the call was not done, and may succeed
 * later.
 */
export function isOverload(error: unknown): error is RpcError {
  return isServerError(error) && error.code === 'RESOURCE_EXHAUSTED';
}

/** The answer of a gRPC server to a message above its limit, which it gives before the service sees the call. */
const messageTooLarge = /^Received message larger than max \((\d+) vs\.? (\d+)\)/;

/** What grpc-js says of the last attempt, without its own notes, times and lines of OpenSSL. */
function lastError(details: string): string {
  const last = /Last error: (?:Error(?: \[\w+\])?: )?(.*?)(?: \(\d{4}-[^)]*\))?\. Resolution note:/s.exec(details)?.[1];
  return (last ?? details).trim();
}

/** Converts a gRPC error to an error of this client; returns any other error unchanged. */
export function fromServiceError(error: unknown, address: string): Error {
  if (!isServiceError(error)) return error instanceof Error ? error : new Error(String(error));
  const details = new Map<string, string>();
  for (const [name, value] of Object.entries(error.metadata.getMap())) {
    if (name.startsWith(detailPrefix) && typeof value === 'string') details.set(name.slice(detailPrefix.length), value);
  }
  const code = status[error.code] ?? String(error.code);
  const neverConnected = code === 'UNAVAILABLE' && error.details.startsWith('No connection established');
  const unresolved = code === 'UNAVAILABLE' && error.details.startsWith('Name resolution failed');
  if (neverConnected || unresolved) {
    const reason = /ECONNREFUSED|ENOTFOUND|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ECONNRESET/.exec(error.details)?.[0];
    const otherwise = unresolved ? 'its host name has no address' : lastError(error.details);
    return new UnreachableError(address, reason ?? otherwise, { cause: error });
  }
  const [, size, limit] = (code === 'RESOURCE_EXHAUSTED' && messageTooLarge.exec(error.details)) || [];
  if (size !== undefined && limit !== undefined) {
    const sizes = new Map([...details, ['what', 'message'], ['size', size], ['limit', limit]]);
    const reason = `the message has ${size} bytes, and ${address} accepts at most ${limit} with the envelope`;
    return new RpcError('INVALID_ARGUMENT', reason, sizes, { cause: error });
  }
  return new RpcError(code, error.details || code, details, { cause: error });
}
