import { Code, ConnectError } from '@connectrpc/connect';
import type { UniversalServerResponse } from '@connectrpc/connect/protocol';
import { type CallMemory, weightOfMessage } from '../../application/access/call-memory.js';
import { type HttpResponse, isHttp2Response, onceClosed } from './http-message.js';

/** The weight of a response's messages that may lie unsent; where its client's calls hold too much already, a group. */
const unsentWeightMax = 128 * 1024;
const groupWeightMin = 16 * 1024;
/** A longer message is sent in pieces: a reader that accepts one is not idle. */
const pieceBytes = 16 * 1024;

/** Connect compresses messages of a stream that have as many bytes, if its header says that it compresses. */
export const compressedBytesMin = 1024;
const encodingHeaders = ['connect-content-encoding', 'grpc-encoding'];

/** Sends a response as fast as its reader takes it; gives up a reader that takes nothing. */
export class ResponseWriter {
  closed = false;
  /** Why nothing more is sent, though the reader has not gone. */
  #failure: ConnectError | undefined;
  #begun = false;
  #compresses = false;
  #wake: (() => void) | undefined;
  #unsentWeight = 0;
  /** The weight of messages that are sent and not counted yet. */
  #uncountedWeight = 0;

  constructor(
    private readonly response: HttpResponse,
    private readonly stallMs: number,
    private readonly memory: CallMemory | undefined,
  ) {
    const wake = (): void => this.#wake?.();
    onceClosed(response, () => {
      this.closed = true;
      wake();
    });
    response.on('drain', wake);
  }

  /** Node counts bytes only, and many small messages cost more than these. */
  get #isFull(): boolean {
    return this.#unsentWeight >= unsentWeightMax || (this.#unsentWeight > 0 && this.memory?.isShort === true);
  }

  /** Sends the response; ends its body's iterator whatever happens, so that the handler knows when it is over. */
  async write({ status, header, body, trailer }: UniversalServerResponse): Promise<void> {
    const chunks = body?.[Symbol.asyncIterator]();
    try {
      // The handler may set headers until its first message.
      let chunk = await chunks?.next();
      this.#begin(status, header);
      for (; chunk !== undefined && chunk.done !== true; chunk = await chunks?.next()) await this.#send(chunk.value);
      if (trailer !== undefined) this.response.addTrailers(nodeHeaders(trailer));
      this.response.end();
    } catch (error) {
      await chunks?.throw?.(error).catch(() => undefined);
      throw error;
    } finally {
      chunks?.return?.().catch(() => undefined);
    }
  }

  #begin(status: number, header: Headers | undefined): void {
    if (this.closed) throw gone();
    this.#begun = true;
    this.#compresses = encodingHeaders.some((name) => header?.has(name));
    const headers = nodeHeaders(header ?? new Headers());
    if (isHttp2Response(this.response)) this.response.writeHead(status, headers);
    else this.response.writeHead(status, headers);
  }

  /** Answers whether Node would take more. Has messages counted by the group: to be told of each costs Node much. */
  #write(chunk: Uint8Array): boolean {
    const { response } = this;
    this.#uncountedWeight += weightOfMessage(chunk.length);
    // The two `write` differ in how they are overloaded only; a union of them cannot be called.
    if (this.#uncountedWeight < groupWeightMin)
      return isHttp2Response(response) ? response.write(chunk) : response.write(chunk);
    const weight = this.#uncountedWeight;
    this.#uncountedWeight = 0;
    this.#unsentWeight += weight;
    this.memory?.charge(weight);
    const onTaken = (): void => {
      this.#unsentWeight -= weight;
      this.memory?.release(weight);
      if (!this.#isFull) this.#wake?.();
    };
    return isHttp2Response(response) ? response.write(chunk, 'utf8', onTaken) : response.write(chunk, 'utf8', onTaken);
  }

  /**
   * Whether a message of so many bytes may be given to `sendEnvelope`. The first of a stream may not, with which the
   * response begins, nor one that is to be compressed.
   */
  takesEnvelope(messageBytes: number): boolean {
    return this.#begun && !(this.#compresses && messageBytes >= compressedBytesMin);
  }

  /**
   * Sends a message with its envelope while the handler holds back what it sends by itself. Returns a promise where the
   * handler has to wait; it rejects, as the call throws, when the reader has gone or takes nothing.
   */
  sendEnvelope(envelope: Uint8Array): Promise<void> | undefined {
    return this.#send(envelope);
  }

  #send(message: Uint8Array): Promise<void> | undefined {
    return message.length > pieceBytes ? this.#sendInPieces(message) : this.#sendPiece(message);
  }

  async #sendInPieces(message: Uint8Array): Promise<void> {
    this.memory?.charge(message.length);
    let rest = message;
    for (; rest.length > pieceBytes; rest = rest.subarray(pieceBytes)) {
      await this.#sendPiece(rest.subarray(0, pieceBytes));
      this.memory?.advance();
    }
    await this.#sendPiece(rest);
    this.memory?.release(message.length);
  }

  /** Throws, or rejects, when the reader has gone or takes nothing. */
  #sendPiece(chunk: Uint8Array): Promise<void> | undefined {
    if (this.closed) throw gone();
    if (this.#failure !== undefined) throw this.#failure;
    const hasSpace = this.#write(chunk);
    return hasSpace && !this.#isFull ? undefined : this.#space();
  }

  async #space(): Promise<void> {
    const timer = setTimeout(() => {
      this.#failure = new ConnectError('the reader takes nothing', Code.Aborted);
      this.#wake?.();
    }, this.stallMs);
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    clearTimeout(timer);
    this.#wake = undefined;
    if (this.closed) throw gone();
    // It may have to throw again: the handler, told of it, sends how the call ended.
    if (this.#failure !== undefined) throw this.#failure;
  }
}

function gone(): ConnectError {
  return new ConnectError('the reader has gone', Code.Canceled);
}

export function nodeHeaders(headers: Headers): Record<string, string> {
  return Object.fromEntries(headers);
}
