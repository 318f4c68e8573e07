import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { Status } from '../../application/error-status.js';
import { UnavailableError } from '../../application/errors.js';

/** The domain of golog's `ErrorInfo`; its reason is the canonical code, unless the status has a more precise one. */
const errorDomain = 'golog.v1';

/** The name under which callers on every transport find the leader's address next to an UNAVAILABLE. */
export const leaderHeader = 'golog-leader';

/** A message in a `google.rpc.Status`. */
export interface ErrorDetail {
  /** Its full name, such as `google.rpc.ErrorInfo`. */
  readonly type: string;
  readonly value: Uint8Array<ArrayBuffer>;
}

/** `google.rpc.ErrorInfo`: reason = 1, domain = 2, map metadata = 3. */
function errorInfoBytes({ code, reason = code, details }: Status): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).string(reason);
  writer.tag(2, WireType.LengthDelimited).string(errorDomain);
  for (const [name, value] of Object.entries(details)) {
    writer.tag(3, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(name);
    writer.tag(2, WireType.LengthDelimited).string(value);
    writer.join();
  }
  return writer.finish();
}

/** `google.rpc.RetryInfo`: retry_delay = 1, a Duration whose seconds = 1. */
function retryInfoBytes(seconds: number): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).fork().tag(1, WireType.Varint).int64(seconds).join();
  return writer.finish();
}

/** Returns what rich clients read: `ErrorInfo` and, if trying again can help, `RetryInfo` (google/rpc/error_details.proto). */
export function errorDetails(status: Status): ErrorDetail[] {
  const details = [{ type: 'google.rpc.ErrorInfo', value: errorInfoBytes(status) }];
  if (status.retryAfterSeconds !== undefined)
    details.push({ type: 'google.rpc.RetryInfo', value: retryInfoBytes(status.retryAfterSeconds) });
  return details;
}

/** Replaces lone surrogates, which no header can carry, by U+FFFD. */
export const wellFormed = (text: string): string => Buffer.from(text).toString();

/** Percent-encodes all but printable ASCII, as in `grpc-message`: no header or trailer carries anything else. */
export function headerValue(value: string): string {
  return value.replace(/[^\x20-\x7e]+/gu, (run) => encodeURIComponent(wellFormed(run)));
}

/** Whether an error is a fault of this node, which is logged: the caller can do nothing about it. */
export function isFault({ code }: Status): boolean {
  return code === 'INTERNAL' || code === 'DATA_LOSS';
}

/** The reason for the end of a call that the server ends when it closes. */
export const shuttingDown = (): UnavailableError => new UnavailableError('this node is shutting down');
