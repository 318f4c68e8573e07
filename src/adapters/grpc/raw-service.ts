import type { DescService } from '@bufbuild/protobuf';
import type { MethodDefinition, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';

/**
 * A response: its bytes, or what makes them at the moment when grpc-js copies them into a frame, so that they may be
 * made in memory that the next response takes again.
 */
export type RawResponse = Buffer | (() => Buffer);

type RawMethod = MethodDefinition<Buffer, RawResponse>;

/** What grpc-js hands over belongs to the handler: it copies each message out of the frames it came in. */
const passThrough = (bytes: Buffer): Buffer => bytes;

const encoded = (response: RawResponse): Buffer => (Buffer.isBuffer(response) ? response : response());

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
        responseSerialize: encoded,
        responseDeserialize: passThrough,
      },
    ]),
  );
}
