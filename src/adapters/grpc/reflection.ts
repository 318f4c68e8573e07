import type { DescFile } from '@bufbuild/protobuf';
import { toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import type { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { service as healthService } from 'grpc-health-check';

/** The files and all that they import, each once. */
function withImports(files: readonly DescFile[]): DescFile[] {
  const found = new Map<string, DescFile>();
  const visit = (file: DescFile): void => {
    if (found.has(file.name)) return;
    found.set(file.name, file);
    file.dependencies.forEach(visit);
  };
  files.forEach(visit);
  return [...found.values()];
}

/** Adds `grpc.reflection.v1` and `v1alpha` over the generated descriptors of `files`, and over the health service. */
export function addReflection(server: Server, files: readonly DescFile[]): void {
  const definitions = withImports(files).map((file) => ({
    format: 'Protocol Buffer 3 EnumDescriptorProto' as const,
    type: {},
    fileDescriptorProtos: [Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto))],
  }));
  const healthTypes = Object.values(healthService).map((method) => method.requestType);
  new ReflectionService(Object.fromEntries([...definitions, ...healthTypes].entries())).addToServer(server);
}
