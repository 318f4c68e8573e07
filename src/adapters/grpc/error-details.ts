import type { DescFile } from '@bufbuild/protobuf';
import { create, createFileRegistry } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FileDescriptorProtoSchema,
  file_google_protobuf_duration,
} from '@bufbuild/protobuf/wkt';
import { status as grpcCodes } from '@grpc/grpc-js';
import type { Status } from '../../application/status.js';

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

const field = (number: number, name: string, type: Type, rest: { label?: Label; typeName?: string } = {}) => ({
  number,
  name,
  jsonName: name.replace(/_./g, ([, letter]) => letter?.toUpperCase() ?? ''),
  type,
  label: Label.OPTIONAL,
  ...rest,
});

/** The part of google/rpc/error_details.proto that golog sends; with it grpcurl prints the details of an error. */
export function errorDetailsFile(): DescFile {
  const proto = create(FileDescriptorProtoSchema, {
    name: 'google/rpc/error_details.proto',
    package: 'google.rpc',
    syntax: 'proto3',
    dependency: [file_google_protobuf_duration.proto.name],
    messageType: [
      {
        name: 'ErrorInfo',
        field: [
          field(1, 'reason', Type.STRING),
          field(2, 'domain', Type.STRING),
          field(3, 'metadata', Type.MESSAGE, {
            label: Label.REPEATED,
            typeName: '.google.rpc.ErrorInfo.MetadataEntry',
          }),
        ],
        nestedType: [
          {
            name: 'MetadataEntry',
            field: [field(1, 'key', Type.STRING), field(2, 'value', Type.STRING)],
            options: { mapEntry: true },
          },
        ],
      },
      {
        name: 'RetryInfo',
        field: [field(1, 'retry_delay', Type.MESSAGE, { typeName: '.google.protobuf.Duration' })],
      },
    ],
  });
  const registry = createFileRegistry(proto, (name) =>
    name === file_google_protobuf_duration.proto.name ? file_google_protobuf_duration : undefined,
  );
  const file = registry.getFile(proto.name);
  if (file === undefined) throw new Error('the file is in the registry that was made of it');
  return file;
}
