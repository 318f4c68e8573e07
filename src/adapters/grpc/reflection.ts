import type { DescFile } from '@bufbuild/protobuf';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import type { FileDescriptorProto } from '@bufbuild/protobuf/wkt';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import type { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { service as healthService } from 'grpc-health-check';

/** The files and all that they import, each once. */
function withImports(files: readonly DescFile[]): FileDescriptorProto[] {
  const found = new Map<string, FileDescriptorProto>();
  const visit = (file: DescFile): void => {
    if (found.has(file.name)) return;
    found.set(file.name, file.proto);
    file.dependencies.forEach(visit);
  };
  files.forEach(visit);
  return [...found.values()];
}

/**
 * The health service's own file. grpc-health-check names the entry of its map `Statuses`; protobuf demands
 * `StatusesEntry`, and grpcurl refuses the whole service otherwise.
 */
function healthFiles(): FileDescriptorProto[] {
  const encoded = Object.values(healthService).flatMap((method) => method.requestType.fileDescriptorProtos);
  const files = encoded.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
  for (const { field, nestedType } of files.flatMap((file) => file.messageType))
    for (const entry of nestedType) {
      if (entry.options?.mapEntry !== true || entry.name.endsWith('Entry')) continue;
      for (const map of field) if (map.typeName === entry.name) map.typeName = `${entry.name}Entry`;
      entry.name = `${entry.name}Entry`;
    }
  return files;
}

/** Adds `grpc.reflection.v1` and `v1alpha` over the descriptors of `files`, and over the health service. */
export function addReflection(server: Server, files: readonly DescFile[]): void {
  const definitions = [...withImports(files), ...healthFiles()].map((file) => ({
    // Only the descriptors are read; of the kinds of definition this is the one with the fewest other fields.
    format: 'Protocol Buffer 3 EnumDescriptorProto' as const,
    type: {},
    fileDescriptorProtos: [Buffer.from(toBinary(FileDescriptorProtoSchema, file))],
  }));
  new ReflectionService(Object.fromEntries(definitions.entries())).addToServer(server);
}
