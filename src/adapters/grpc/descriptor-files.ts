import type { DescFile, MessageInitShape } from '@bufbuild/protobuf';
import { create, createFileRegistry } from '@bufbuild/protobuf';
import type { FieldDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FileDescriptorProtoSchema,
  file_google_protobuf_duration,
} from '@bufbuild/protobuf/wkt';

// Descriptors of the two well-known files that reflection should know and that nothing here generates code from.

type Field = MessageInitShape<typeof FieldDescriptorProtoSchema>;
type File = MessageInitShape<typeof FileDescriptorProtoSchema>;

function field(number: number, name: string, type: Type, typeName?: string): Field {
  const jsonName = name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
  return { number, name, jsonName, type, label: Label.OPTIONAL, ...(typeName === undefined ? {} : { typeName }) };
}

/** A map field and the entry message that protobuf makes of it. */
function map(number: number, name: string, messageName: string, value: { type: Type; typeName?: string }) {
  const entryName = `${name.charAt(0).toUpperCase()}${name.slice(1)}Entry`;
  return {
    field: { ...field(number, name, Type.MESSAGE, `${messageName}.${entryName}`), label: Label.REPEATED },
    entry: {
      name: entryName,
      field: [field(1, 'key', Type.STRING), field(2, 'value', value.type, value.typeName)],
      options: { mapEntry: true },
    },
  };
}

function fileOf(init: File, imports: readonly DescFile[] = []): DescFile {
  const dependency = imports.map((file) => file.proto.name);
  const proto = create(FileDescriptorProtoSchema, { ...init, dependency, syntax: 'proto3' });
  const registry = createFileRegistry(proto, (name) => imports.find((file) => file.proto.name === name));
  const file = registry.getFile(proto.name);
  if (file === undefined) throw new Error(`no ${proto.name} in the registry made of it`);
  return file;
}

/** The part of google/rpc/error_details.proto that golog sends; with it grpcurl prints the details of an error. */
export function errorDetailsFile(): DescFile {
  const metadata = map(3, 'metadata', '.google.rpc.ErrorInfo', { type: Type.STRING });
  return fileOf(
    {
      name: 'google/rpc/error_details.proto',
      package: 'google.rpc',
      messageType: [
        {
          name: 'ErrorInfo',
          field: [field(1, 'reason', Type.STRING), field(2, 'domain', Type.STRING), metadata.field],
          nestedType: [metadata.entry],
        },
        { name: 'RetryInfo', field: [field(1, 'retry_delay', Type.MESSAGE, '.google.protobuf.Duration')] },
      ],
    },
    [file_google_protobuf_duration],
  );
}

/** grpc/health/v1/health.proto. grpc-health-check has one at run time, but with names that no linker takes. */
export function healthFile(): DescFile {
  const request = '.grpc.health.v1.HealthCheckRequest';
  const response = '.grpc.health.v1.HealthCheckResponse';
  const statuses = map(1, 'statuses', '.grpc.health.v1.HealthListResponse', {
    type: Type.MESSAGE,
    typeName: response,
  });
  const servingStatuses = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];
  return fileOf({
    name: 'grpc/health/v1/health.proto',
    package: 'grpc.health.v1',
    messageType: [
      { name: 'HealthCheckRequest', field: [field(1, 'service', Type.STRING)] },
      {
        name: 'HealthCheckResponse',
        field: [field(1, 'status', Type.ENUM, `${response}.ServingStatus`)],
        enumType: [{ name: 'ServingStatus', value: servingStatuses.map((name, number) => ({ name, number })) }],
      },
      { name: 'HealthListRequest' },
      { name: 'HealthListResponse', field: [statuses.field], nestedType: [statuses.entry] },
    ],
    service: [
      {
        name: 'Health',
        method: [
          { name: 'Check', inputType: request, outputType: response },
          {
            name: 'List',
            inputType: '.grpc.health.v1.HealthListRequest',
            outputType: '.grpc.health.v1.HealthListResponse',
          },
          { name: 'Watch', inputType: request, outputType: response, serverStreaming: true },
        ],
      },
    ],
  });
}
