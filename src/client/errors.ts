import { type ServiceError, status } from '@grpc/grpc-js';

/** A call that the server, or the way to it, ended with an error. */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  constructor(
    /** The canonical gRPC code, such as `OUT_OF_RANGE`. */
    readonly code: string,
    message: string,
    /** What the server said besides: `limit`, `size`, `high-watermark` and the like. */
    readonly details: ReadonlyMap<string, string>,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Nobody answers at the address, or not any more; nothing that was asked is known to have been done. */
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

/** A batch may or may not be in the log, and sending it again could store it twice. */
export class OutcomeUnknownError extends Error {
  override readonly name = 'OutcomeUnknownError';
}

/** Somebody else appends to the log in a way that this producer's order could not survive. */
export class ConcurrentProducerError extends Error {
  override readonly name = 'ConcurrentProducerError';
}

/** The server no longer has records that it had acknowledged. */
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

/** The call may succeed on another try: the connection or the server went away, or it had no room. */
export function isTransient(error: unknown): boolean {
  if (error instanceof UnreachableError) return true;
  return (
    error instanceof RpcError &&
    (transportCodes.has(error.code) || error.code === 'RESOURCE_EXHAUSTED' || error.code === 'DEADLINE_EXCEEDED')
  );
}

const detailPrefix = 'golog-';

export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'metadata' in error;
}

/** A server explains itself with a rich status; a connection that breaks does not. */
export function isServersWord(error: unknown): error is RpcError {
  if (!(error instanceof RpcError)) return false;
  const { cause } = error;
  return isServiceError(cause) && cause.metadata.get('grpc-status-details-bin').length > 0;
}

/** The error of a call in this client's terms; anything that is no gRPC error comes back as it is. */
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
    const reason = /ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ETIMEDOUT|ECONNRESET/.exec(error.details)?.[0];
    return new UnreachableError(address, reason ?? error.details, { cause: error });
  }
  return new RpcError(code, error.details || code, details, { cause: error });
}
