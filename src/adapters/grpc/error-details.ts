import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { status as grpcCodes } from '@grpc/grpc-js';
import type { Status } from '../../application/error-status.js';

/** The domain of golog's `ErrorInfo`; its reason is the canonical code. */
const errorDomain = 'golog.v1';

function message(write: (writer: BinaryWriter) => void): Uint8Array {
  const writer = new BinaryWriter();
  write(writer);
  return writer.finish();
}

const text = (writer: BinaryWriter, field: number, value: string): BinaryWriter =>
  writer.tag(field, WireType.LengthDelimited).string(value);

const bytes = (writer: BinaryWriter, field: number, value: Uint8Array): BinaryWriter =>
  writer.tag(field, WireType.LengthDelimited).bytes(value);

function errorInfoBytes(status: Status): Uint8Array {
  return message((info) => {
    text(info, 1, status.code);
    text(info, 2, errorDomain);
    for (const [name, value] of Object.entries(status.details))
      bytes(
        info,
        3,
        message((entry) => text(text(entry, 1, name), 2, value)),
      );
  });
}

function retryInfoBytes(seconds: number): Uint8Array {
  const delay = message((duration) => duration.tag(1, WireType.Varint).int64(seconds));
  return message((info) => bytes(info, 1, delay));
}

/**
 * `google.rpc.Status` with `ErrorInfo` and, where trying again can help, `RetryInfo`: what rich clients read from the
 * `grpc-status-details-bin` trailer (google/rpc/status.proto, google/rpc/error_details.proto).
 */
export function richStatusBytes(status: Status): Buffer {
  const details: [string, Uint8Array][] = [['google.rpc.ErrorInfo', errorInfoBytes(status)]];
  if (status.retryAfterSeconds !== undefined)
    details.push(['google.rpc.RetryInfo', retryInfoBytes(status.retryAfterSeconds)]);
  const encoded = message((writer) => {
    writer.tag(1, WireType.Varint).int32(grpcCodes[status.code]);
    text(writer, 2, status.message);
    for (const [typeName, value] of details)
      bytes(
        writer,
        3,
        message((any) => bytes(text(any, 1, `type.googleapis.com/${typeName}`), 2, value)),
      );
  });
  return Buffer.from(encoded);
}
