import type { StatusObject } from '@grpc/grpc-js';
import { Metadata, status as grpcCodes } from '@grpc/grpc-js';
import type { Logger } from '../../application/ports/logger.js';
import { type Status, statusOf } from '../../application/error-status.js';
import { headerValue, isFault, leaderHeader, wellFormed } from '../wire/error-answers.js';
import { richStatusBytes } from './error-details.js';

/** `logStartOffset` → `golog-log-start-offset`. */
function trailerName(detail: string): string {
  return `golog-${detail.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/**
 * What a caller gets to see of an error. The details travel twice: as ErrorInfo for rich clients, and as one plain
 * `golog-…` trailer each, for those that only see strings. A known leader is `golog-leader`.
 */
export function callError(error: unknown): StatusObject {
  return statusObject(statusOf(error));
}

function statusObject(status: Status): StatusObject {
  const metadata = new Metadata();
  const { leaderAddr, ...details } = status.details;
  for (const [name, value] of Object.entries(details)) metadata.set(trailerName(name), headerValue(value));
  if (leaderAddr !== undefined) metadata.set(leaderHeader, headerValue(leaderAddr));
  if (status.retryAfterSeconds !== undefined)
    metadata.set('grpc-retry-pushback-ms', String(status.retryAfterSeconds * 1000));
  metadata.set('grpc-status-details-bin', richStatusBytes(status));
  return { code: grpcCodes[status.code], details: wellFormed(status.message), metadata };
}

/** Turns the error of a call into its status; what a caller cannot mend is logged on the way. */
export type FailCall = (error: unknown) => StatusObject;

export function failCall(logger: Logger, method: string): FailCall {
  return (error) => {
    const status = statusOf(error);
    if (isFault(status)) logger.error('call_failed', { error, method }, 'call failed');
    return statusObject(status);
  };
}
