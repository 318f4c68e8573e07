import type { StatusObject } from '@grpc/grpc-js';
import { Metadata, status as grpcCodes } from '@grpc/grpc-js';
import { UnavailableError } from '../../application/errors.js';
import type { Logger } from '../../application/ports/logger.js';
import { statusOf } from '../../application/error-status.js';
import { richStatusBytes } from './error-details.js';

/** `logStartOffset` → `golog-log-start-offset`. */
function trailerName(detail: string): string {
  return `golog-${detail.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Lone surrogates, which no header can carry, become U+FFFD. */
const wellFormed = (text: string): string => Buffer.from(text).toString();

/** Trailer values are printable ASCII; anything else is percent-encoded, as in `grpc-message`. */
function trailerValue(value: string): string {
  return value.replace(/[^\x20-\x7e]+/gu, (run) => encodeURIComponent(wellFormed(run)));
}

/**
 * What a caller gets to see of an error. The details travel twice: as ErrorInfo for rich clients, and as one plain
 * `golog-…` trailer each, for those that only see strings. A known leader is `golog-leader`.
 */
export function callError(error: unknown): StatusObject {
  const status = statusOf(error);
  const metadata = new Metadata();
  const { leaderAddr, ...details } = status.details;
  for (const [name, value] of Object.entries(details)) metadata.set(trailerName(name), trailerValue(value));
  if (leaderAddr !== undefined) metadata.set('golog-leader', trailerValue(leaderAddr));
  if (status.retryAfterSeconds !== undefined)
    metadata.set('grpc-retry-pushback-ms', String(status.retryAfterSeconds * 1000));
  metadata.set('grpc-status-details-bin', richStatusBytes(status));
  return { code: grpcCodes[status.code], details: wellFormed(status.message), metadata };
}

/** Turns the error of a call into its status; what a caller cannot mend is logged on the way. */
export type FailCall = (error: unknown) => StatusObject;

export function failCall(logger: Logger, method: string): FailCall {
  return (error) => {
    const response = callError(error);
    if (response.code === grpcCodes.INTERNAL || response.code === grpcCodes.DATA_LOSS)
      logger.error('call_failed', { error, method }, 'call failed');
    return response;
  };
}

/** Why a call ends that the server ends when it closes. */
export const shuttingDown = (): UnavailableError => new UnavailableError('this node is shutting down');
