import type { DescFile } from '@bufbuild/protobuf';
import { toBinary } from '@bufbuild/protobuf';
import type { FileDescriptorProto } from '@bufbuild/protobuf/wkt';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import type { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';

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

/** Adds `grpc.reflection.v1` and `v1alpha` over the descriptors of `files` and of all that they import. */
export function addReflection(server: Server, files: readonly DescFile[]): void {
  const definitions = withImports(files).map((file) => ({
    // Only the descriptors are read; of the kinds of definition this is the one with the fewest other fields.
    format: 'Protocol Buffer 3 EnumDescriptorProto' as const,
    type: {},
    fileDescriptorProtos: [Buffer.from(toBinary(FileDescriptorProtoSchema, file))],
  }));
  new ReflectionService(Object.fromEntries(definitions.entries())).addToServer(server);
}
