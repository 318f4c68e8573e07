import type { DescMessage } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Compression, UniversalServerRequest } from '@connectrpc/connect/protocol';
import { setImmediate } from 'node:timers/promises';
import type { CallMemory } from '../../application/access/call-memory.js';
import type { AppendRequests } from './append-requests.js';
import { refusedRequest } from './connect-errors.js';
import { checkMessage } from './strict-message.js';

/** Flags and length in front of a message of a stream, and of gRPC; a flag says that it is compressed. */
const envelopeHeadBytes = 5;
const compressedFlag = 1;
/** The most bytes of a message in a query, decompressed. The query has 16 KiB. */
const queryBytesMax = 64 * 1024;

/** Elements, and bytes, of a message that takes long to parse. */
const longElements = 256;
const longBytes = 4 * 1024;
/** Bytes of long messages that are parsed in one turn of the event loop, or a single one. */
const turnBytesMax = 64 * 1024;

export interface ElementLimitOptions {
  /** The most bytes of a message, before and after decompression. */
  readonly readBytesMax: number;
  readonly compressions: readonly Compression[];
  /** Takes the messages over, of a method that appends. */
  readonly appends?: AppendRequests | undefined;
  /** Counts the messages, and what has come of them. */
  readonly memory?: CallMemory | undefined;
  /**
   * Resolves when there is time to end the call of a body that failed: those of all calls of a session fail at once when
   * it ends, and what their handlers then do takes a millisecond each.
   */
  readonly turnToFail?: () => Promise<void>;
}

/** What a request says of its messages. */
interface MessageForm extends ElementLimitOptions {
  /** Without one, messages are JSON, whose objects are counted when they are decoded. */
  readonly descriptor: DescMessage | undefined;
  /** The compression of the messages; undefined if they have none. */
  readonly compression: Compression | undefined;
  readonly signal: AbortSignal;
}

/** Compressed messages that are decompressed, or checked after that, at the same time: each of them may be a bomb. */
const inflatedAtOnceMax = 4;
let inflated = 0;
const waitingToInflate: (() => void)[] = [];

/** Counts bytes that have come. Where they are too many, waits for the answer of an earlier message, or refuses them. */
async function admitPiece({ memory, signal }: MessageForm, bytes: number): Promise<void> {
  const refusal = memory?.arrive(bytes);
  if (memory === undefined || refusal === undefined) return;
  if (!memory.hasUnanswered) throw refusedRequest(refusal);
  await new Promise<void>((resolve) => {
    memory.onceAnswered(resolve);
  });
  signal.throwIfAborted();
}

/** Checks a message that came in so many bytes, compressed ones a few at a time. */
async function checked(
  message: Uint8Array,
  form: MessageForm,
  isCompressed: boolean,
  arrivedBytes: number,
): Promise<Uint8Array> {
  if (!isCompressed) return checkedNow(message, form, false, arrivedBytes);
  if (inflated < inflatedAtOnceMax) inflated += 1;
  else await new Promise<void>((resolve) => waitingToInflate.push(resolve));
  try {
    return await checkedNow(message, form, true, arrivedBytes);
  } finally {
    const next = waitingToInflate.shift();
    if (next === undefined) inflated -= 1;
    else next();
  }
}

async function checkedNow(
  message: Uint8Array,
  form: MessageForm,
  isCompressed: boolean,
  arrivedBytes: number,
): Promise<Uint8Array> {
  const { appends, descriptor, compression, readBytesMax, signal, memory } = form;
  const plain = isCompressed ? await compression?.decompress(message, readBytesMax) : message;
  // Its reader refuses a compression that is not known.
  if (plain === undefined) return message;
  const hasUnanswered = memory?.hasUnanswered === true;
  const refusal = memory?.deliver(arrivedBytes, plain.length);
  if (refusal !== undefined && !hasUnanswered) throw refusedRequest(refusal);
  const isLong =
    descriptor === undefined || appends !== undefined
      ? plain.length > longBytes
      : checkMessage(plain, descriptor) > longElements;
  if (isLong) await turnFor(plain.length);
  if (appends === undefined) return plain;
  return descriptor === undefined ? appends.keepJson(plain, signal) : appends.keepBinary(plain);
}

let lastTurn: Promise<unknown> = Promise.resolve();
let bytesInTurn = 0;

/**
 * Resolves in a turn of the event loop in which there is time for a message of so many bytes. What is read from all
 * connections in one turn may be many messages, each of which takes long to parse.
 */
export function turnFor(bytes: number): Promise<unknown> {
  lastTurn = lastTurn.then(async () => {
    if (bytesInTurn > 0 && bytesInTurn + bytes > turnBytesMax) {
      await setImmediate();
      bytesInTurn = 0;
    }
    bytesInTurn += bytes;
  });
  return lastTurn;
}

/** Chunks of a body that wait for more. */
class Chunks {
  bytes = 0;
  readonly #chunks: Uint8Array[] = [];

  push(chunk: Uint8Array): void {
    // An empty one in front would have the next copied.
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.bytes += chunk.length;
  }

  /** All of them in one. */
  take(): Buffer {
    const [first] = this.#chunks;
    const whole =
      first?.length === this.bytes
        ? Buffer.from(first.buffer, first.byteOffset, first.length)
        : Buffer.concat(this.#chunks, this.bytes);
    this.#chunks.length = 0;
    this.bytes = 0;
    return whole;
  }
}

/** The one message of the body, decompressed. One that is too large comes as it is: its reader refuses it. */
async function* checkedBody(body: AsyncIterable<Uint8Array>, form: MessageForm): AsyncGenerator<Uint8Array> {
  const chunks = new Chunks();
  let isTooLarge = false;
  for await (const chunk of body) {
    await admitPiece(form, chunk.length);
    chunks.push(chunk);
    isTooLarge ||= chunks.bytes > form.readBytesMax;
    if (isTooLarge) yield chunks.take();
  }
  const { bytes } = chunks;
  if (!isTooLarge) yield await checked(chunks.take(), form, form.compression !== undefined, bytes);
}

/** How long the envelope at the beginning is, as far as it can be told. */
function envelopeBytes(bytes: Buffer): number {
  return envelopeHeadBytes + (bytes.length < envelopeHeadBytes ? 0 : bytes.readUInt32BE(1));
}

async function checkedEnvelope(envelope: Buffer, form: MessageForm): Promise<Uint8Array> {
  const flags = envelope.readUInt8(0);
  // One that Connect drops would leave what was kept of it to the next.
  if (flags > compressedFlag)
    throw new ConnectError(`an envelope has the flags ${flags}. Expected 0, or 1 if compressed`, Code.InvalidArgument);
  const message = envelope.subarray(envelopeHeadBytes);
  const plain = await checked(message, form, (flags & compressedFlag) !== 0, envelope.length);
  if (plain === message) return envelope;
  const head = Buffer.alloc(envelopeHeadBytes);
  head.writeUInt8(flags & ~compressedFlag);
  head.writeUInt32BE(plain.length, 1);
  return Buffer.concat([head, plain]);
}

/** The messages of the body, decompressed. From one that is too large on it comes as it is. */
async function* checkedEnvelopes(body: AsyncIterable<Uint8Array>, form: MessageForm): AsyncGenerator<Uint8Array> {
  const chunks = new Chunks();
  let needed = envelopeHeadBytes;
  let isTooLarge = false;
  for await (const chunk of body) {
    await admitPiece(form, chunk.length);
    chunks.push(chunk);
    if (chunks.bytes < needed && !isTooLarge) continue;
    let rest = chunks.take();
    for (needed = envelopeBytes(rest); needed <= rest.length && !isTooLarge; needed = envelopeBytes(rest)) {
      yield await checkedEnvelope(rest.subarray(0, needed), form);
      rest = rest.subarray(needed);
    }
    isTooLarge ||= needed - envelopeHeadBytes > form.readBytesMax;
    if (isTooLarge) yield rest;
    else chunks.push(rest);
  }
  // Connect would make space for all of the message before it looks for the rest.
  if (chunks.bytes > 0) throw new ConnectError('the request ends inside of an envelope', Code.InvalidArgument);
}

/** The body, which fails when `turnToFail` resolves. */
function failingInTurn(body: AsyncIterable<Uint8Array>, turnToFail: () => Promise<void>): AsyncIterable<Uint8Array> {
  return {
    [Symbol.asyncIterator]: () => {
      const iterator = body[Symbol.asyncIterator]();
      const fail = async (error: unknown): Promise<never> => {
        await turnToFail();
        throw error;
      };
      return {
        next: () => iterator.next().catch(fail),
        return: async () => (await iterator.return?.()) ?? { done: true, value: undefined },
      };
    },
  };
}

/**
 * The request with a body of messages that are not compressed, which fails instead of giving one that is malformed or has
 * more than `elementsMax` fields: INVALID_ARGUMENT, RESOURCE_EXHAUSTED. `descriptor` is what its messages are.
 */
export function withElementLimit(
  request: UniversalServerRequest,
  descriptor: DescMessage,
  options: ElementLimitOptions,
): UniversalServerRequest {
  const { header } = request;
  let { body } = request;
  if (typeof body !== 'object' || body === null || !(Symbol.asyncIterator in body)) return request;
  if (options.turnToFail !== undefined) body = failingInTurn(body, options.turnToFail);
  const type = header.get('content-type') ?? '';
  const isEnveloped = !/^application\/(proto|json)\b/i.test(type);
  const encodingHeader = isEnveloped ? envelopeEncodingHeader(type) : 'content-encoding';
  const compression = options.compressions.find(({ name }) => name === header.get(encodingHeader));
  const { signal } = request;
  const form = { ...options, compression, signal, descriptor: /json/i.test(type) ? undefined : descriptor };
  if (isEnveloped) return { ...request, body: checkedEnvelopes(body, form) };
  if (compression === undefined && options.appends === undefined) return { ...request, body: checkedBody(body, form) };
  const plainHeader = new Headers(header);
  for (const name of ['content-encoding', 'content-length']) plainHeader.delete(name);
  return { ...request, header: plainHeader, body: checkedBody(body, form) };
}

function envelopeEncodingHeader(type: string): string {
  return /^application\/connect/i.test(type) ? 'connect-content-encoding' : 'grpc-encoding';
}

/** For messages in a query: those in a body come decompressed. */
export function limitQuery(compression: Compression): Compression {
  return {
    ...compression,
    decompress: (bytes, bytesMax) => compression.decompress(bytes, Math.min(bytesMax, queryBytesMax)),
  };
}
