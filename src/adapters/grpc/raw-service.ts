import type { DescService } from '@bufbuild/protobuf';
import type { MethodDefinition, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';

type RawMethod = MethodDefinition<Buffer, Buffer>;

/** The bytes that grpc-js passes belong to the handler: it copies each message out of the frames it came in. */
const passThrough = (bytes: Buffer): Buffer => bytes;

/**
 * A service whose requests and responses stay bytes: each handler parses and encodes by itself, so that record bytes
 * pass through untouched and bad bytes get an error that says what is wrong.
 */
export function rawServiceDefinition(service: DescService): ServiceDefinition<UntypedServiceImplementation> {
  return Object.fromEntries(
    service.methods.map((method): [string, RawMethod] => [
      method.localName,
      {
        path: `/${service.typeName}/${method.name}`,
        originalName: method.localName,
        requestStream: method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
        responseStream: method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
        requestSerialize: passThrough,
        requestDeserialize: passThrough,
        responseSerialize: passThrough,
        responseDeserialize: passThrough,
      },
    ]),
  );
}
