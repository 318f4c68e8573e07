import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { status as grpcCodes } from '@grpc/grpc-js';
import type { Status } from '../../application/error-status.js';
import { errorDetails } from '../wire/error-answers.js';

/** `google.rpc.Status`, the trailer `grpc-status-details-bin`: code = 1, message = 2, repeated Any details = 3. */
export function richStatusBytes(status: Status): Buffer {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.Varint).int32(grpcCodes[status.code]);
  writer.tag(2, WireType.LengthDelimited).string(status.message);
  for (const { type, value } of errorDetails(status)) {
    writer.tag(3, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(`type.googleapis.com/${type}`);
    writer.tag(2, WireType.LengthDelimited).bytes(value);
    writer.join();
  }
  return Buffer.from(writer.finish());
}
