import type { StatusObject } from '@grpc/grpc-js';
import { Metadata, status as grpcCodes } from '@grpc/grpc-js';
import type { Logger } from '../../application/ports/logger.js';
import type { Status } from '../../application/status.js';
import { statusOf } from '../../application/status.js';
import { bytesFieldSize, varintFieldSize, writeBytesField, writeVarintField } from './wire-format.js';

/** The domain of golog's ErrorInfo; its `reason` is the canonical code. */
const errorDomain = 'golog.v1';

type Field = { readonly tag: number; readonly value: string | Uint8Array | number };

function message(fields: readonly Field[]): Buffer {
  const contents = fields.map(({ tag, value }) => ({
    tag,
    value: typeof value === 'string' ? Buffer.from(value) : value,
  }));
  const sizes = contents.map(({ value }) =>
    typeof value === 'number' ? varintFieldSize(value) : bytesFieldSize(value.byteLength),
  );
  const bytes = Buffer.allocUnsafe(sizes.reduce((sum, size) => sum + size, 0));
  let position = 0;
  for (const { tag, value } of contents)
    position =
      typeof value === 'number'
        ? writeVarintField(bytes, position, tag, value)
        : writeBytesField(bytes, position, tag, value);
  return bytes;
}

function any(typeName: string, value: Uint8Array): Field {
  return {
    tag: 0x1a,
    value: message([
      { tag: 0x0a, value: `type.googleapis.com/${typeName}` },
      { tag: 0x12, value },
    ]),
  };
}

/**
 * `google.rpc.Status` with `ErrorInfo` and, where trying again can help, `RetryInfo`: what rich clients read from the
 * `grpc-status-details-bin` trailer (google/rpc/status.proto, google/rpc/error_details.proto).
 */
export function richStatusBytes(status: Status): Buffer {
  const errorInfo = message([
    { tag: 0x0a, value: status.code },
    { tag: 0x12, value: errorDomain },
    ...Object.entries(status.details).map(([name, value]) => ({
      tag: 0x1a,
      value: message([
        { tag: 0x0a, value: name },
        { tag: 0x12, value },
      ]),
    })),
  ]);
  const details = [any('google.rpc.ErrorInfo', errorInfo)];
  if (status.retryAfterSeconds !== undefined) {
    const duration = message([{ tag: 0x08, value: status.retryAfterSeconds }]);
    details.push(any('google.rpc.RetryInfo', message([{ tag: 0x0a, value: duration }])));
  }
  return message([{ tag: 0x08, value: grpcCodes[status.code] }, { tag: 0x12, value: status.message }, ...details]);
}

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
      logger.error({ err: error, method }, 'call failed');
    return response;
  };
}
