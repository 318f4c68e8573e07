import type {
  DescMessage,
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { CallOptions, ClientDuplexStream, ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import { Client, credentials, Metadata } from '@grpc/grpc-js';

const pathOf = (method: DescMethod): string => `/${method.parent.typeName}/${method.name}`;
const encoder =
  <Desc extends DescMessage>(schema: Desc) =>
  (message: MessageInitShape<Desc> | Buffer): Buffer =>
    Buffer.isBuffer(message) ? message : Buffer.from(toBinary(schema, create(schema, message)));
const decoder =
  <Desc extends DescMessage>(schema: Desc) =>
  (bytes: Buffer): MessageShape<Desc> =>
    fromBinary(schema, bytes);

/** A grpc-js client over the generated descriptors. A request given as a Buffer is sent as it is. */
export class GrpcClient {
  readonly #client: Client;

  constructor(port: number) {
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    });
  }

  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I> | Buffer,
    options: CallOptions = {},
  ): Promise<MessageShape<O>> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        pathOf(method),
        encoder(method.input),
        decoder(method.output),
        request,
        new Metadata(),
        options,
        (error, response) => {
          if (error) reject(error);
          else if (response === undefined) reject(new Error('neither error nor response'));
          else resolve(response);
        },
      );
    });
  }

  /** A unary call of bytes. */
  raw(method: DescMethod, request: Buffer): Promise<Buffer> {
    const asItIs = (bytes: Buffer): Buffer => bytes;
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(pathOf(method), asItIs, asItIs, request, (error, response) => {
        if (error) reject(error);
        else resolve(response ?? Buffer.alloc(0));
      });
    });
  }

  serverStream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I> | Buffer,
    options: CallOptions = {},
  ): ClientReadableStream<MessageShape<O>> {
    const { input, output } = method;
    return this.#client.makeServerStreamRequest(
      pathOf(method),
      encoder(input),
      decoder(output),
      request,
      new Metadata(),
      options,
    );
  }

  bidi<I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>,
    options: CallOptions = {},
  ): ClientDuplexStream<MessageInitShape<I> | Buffer, MessageShape<O>> {
    const { input, output } = method;
    return this.#client.makeBidiStreamRequest(pathOf(method), encoder(input), decoder(output), new Metadata(), options);
  }

  close(): void {
    this.#client.close();
  }
}

/** Collects a stream until it ends or fails. */
export function collect<T>(stream: ClientReadableStream<T> | ClientDuplexStream<unknown, T>): {
  readonly messages: T[];
  /** Resolves with the error, or `undefined` after a good end. */
  readonly ended: Promise<ServiceError | undefined>;
  /** Resolves once this many messages are there. */
  readonly count: (n: number) => Promise<void>;
} {
  const messages: T[] = [];
  const waiting: { n: number; resolve: () => void }[] = [];
  const ended = new Promise<ServiceError | undefined>((resolve) => {
    stream.on('error', (error: ServiceError) => {
      resolve(error);
    });
    stream.on('end', () => {
      resolve(undefined);
    });
  });
  stream.on('data', (message: T) => {
    messages.push(message);
    for (const waiter of waiting) if (messages.length >= waiter.n) waiter.resolve();
  });
  const count = (n: number): Promise<void> =>
    messages.length >= n ? Promise.resolve() : new Promise((resolve) => waiting.push({ n, resolve }));
  return { messages, ended, count };
}

/** What a rejected call was told. */
export async function errorOf(call: Promise<unknown>): Promise<ServiceError> {
  try {
    await call;
  } catch (error) {
    return error as ServiceError;
  }
  throw new Error('the call did not fail');
}
