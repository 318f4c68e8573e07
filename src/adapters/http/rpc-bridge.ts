import type { ConnectRouter } from '@connectrpc/connect';
import { Code, ConnectError, createConnectRouter, createContextValues } from '@connectrpc/connect';
import { compressionBrotli, compressionGzip, universalRequestFromNodeRequest } from '@connectrpc/connect-node';
import type { UniversalHandler, UniversalServerResponse } from '@connectrpc/connect/protocol';
import { constants } from 'node:http2';
import type { Access, Caller } from '../../application/access/access.js';
import { type CallMemory, weightOfMessage } from '../../application/access/call-memory.js';
import type { Logger } from '../../application/ports/logger.js';
import {
  addressOf,
  type HttpRequest,
  type HttpResponse,
  isHttp2,
  isHttp2Response,
  onceClosed,
} from './http-message.js';
import { addressKey, callerKey, guardInterceptor, memoryKey } from './call-guard.js';
import { AppendRequests, appendRequestsKey } from './append-requests.js';
import { type ElementLimitOptions, limitQuery, turnFor, withElementLimit } from './element-limit.js';
import { decodeJson } from './json-message.js';
import type { Turns } from './turns.js';
import { answerEncoder } from './json-answers.js';
import { HttpProblem } from './problem.js';

/** `setTimeout` takes no more: 24.8 days. */
const timeoutMsMax = 2 ** 31 - 1;
/** With a message that is longer than those of readers. */
const longUrlBytes = 1024;
const writeBytesMax = 64 * 1024 * 1024;
/** The weight of a response's messages that may lie unsent; where its client's calls hold too much already, a group. */
const unsentWeightMax = 128 * 1024;
const groupWeightMin = 16 * 1024;
/** A longer message is sent in pieces: a reader that accepts one is not idle. */
const pieceBytes = 16 * 1024;
const compressions = [compressionGzip, compressionBrotli];

/** Connect decodes and encodes JSON by what is given here, though its types do not say so. */
const jsonOptions = { ignoreUnknownFields: true, textDecoder: { decode: decodeJson }, textEncoder: answerEncoder };

export interface RpcBridgeOptions {
  readonly readBytesMax: number;
  /** From the header to the end of the body, where the method takes a single message. */
  readonly bodyMs: number;
  /** A response whose reader takes nothing for so long is dropped. */
  readonly stallMs: number;
  /** The turns of messages that take long to parse. */
  readonly turns: Turns;
}

/**
 * Between Node's requests and Connect's handlers for Connect, gRPC-Web and gRPC. It stands in for
 * `connectNodeAdapter`, which throws out of the request event when a request has no usable Host, waits for ever for a
 * reader that has gone (so that a handler never learns of it), and prints to the console.
 */
export class RpcBridge {
  readonly #handlers: ReadonlyMap<string, UniversalHandler>;
  readonly #elementLimit: ElementLimitOptions;

  constructor(
    routes: (router: ConnectRouter) => void,
    private readonly logger: Logger,
    private readonly options: RpcBridgeOptions,
    access?: Access,
  ) {
    this.#elementLimit = { readBytesMax: options.readBytesMax, compressions };
    const router = createConnectRouter({
      acceptCompression: compressions.map(limitQuery),
      readMaxBytes: options.readBytesMax,
      writeMaxBytes: writeBytesMax,
      maxTimeoutMs: timeoutMsMax,
      // What nobody knows is not kept: half a million fields of two bytes were 450 MB.
      binaryOptions: { readUnknownFields: false },
      jsonOptions,
      interceptors: access === undefined ? [] : [guardInterceptor(access, logger)],
    });
    routes(router);
    this.#handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  }

  handlerOf(path: string): UniversalHandler | undefined {
    return this.#handlers.get(path);
  }

  /** Never rejects once the response has begun. Throws `HttpProblem` before that. */
  async serve(
    handler: UniversalHandler,
    request: HttpRequest,
    response: HttpResponse,
    caller: Caller,
    memory: CallMemory | undefined,
  ): Promise<void> {
    if (!handler.allowedMethods.includes(request.method ?? ''))
      throw new HttpProblem(
        405,
        'Method not allowed',
        `${handler.requestPath} is called by ${handler.allowedMethods.join(' or ')}, not ${request.method}`,
        { allow: handler.allowedMethods.join(', ') },
      );
    const address = addressOf(request) ?? '';
    const appends = AppendRequests.of(handler.method.input, this.options.turns, address);
    let universalRequest;
    try {
      const values = createContextValues()
        .set(callerKey, caller)
        .set(addressKey, address)
        .set(memoryKey, memory)
        .set(appendRequestsKey, appends);
      universalRequest = universalRequestFromNodeRequest(request, response, undefined, values);
    } catch {
      throw new HttpProblem(400, 'Invalid input', 'the request has no usable Host');
    }
    this.#limitBody(handler, request);
    const urlBytes = (request.url ?? '').length;
    if (urlBytes > longUrlBytes) await turnFor(urlBytes);
    const writer = new ResponseWriter(response, this.options.stallMs, memory);
    try {
      const limit = { ...this.#elementLimit, appends, memory };
      const answer = await handler(withElementLimit(universalRequest, handler.method.input, limit));
      if (answer.status >= 400 && answer.body === undefined) throw refusalOf(handler, request, answer);
      await writer.write(answer);
    } catch (error) {
      if (error instanceof HttpProblem) throw error;
      // Most often the reader has gone. What a handler throws is in the response already.
      if (!writer.closed)
        this.logger.warn('response_not_sent', { error, method: handler.requestPath }, 'could not send the response');
      response.destroy();
    }
  }

  /** HTTP/1.1 has its deadline from the server; an HTTP/2 stream that never ends its one message has this. */
  #limitBody(handler: UniversalHandler, request: HttpRequest): void {
    const { methodKind } = handler.method;
    if (!isHttp2(request) || methodKind === 'bidi_streaming' || methodKind === 'client_streaming') return;
    const timer = setTimeout(() => {
      request.stream.close(constants.NGHTTP2_CANCEL);
    }, this.options.bodyMs);
    const clear = (): void => {
      clearTimeout(timer);
    };
    request.once('end', clear);
    request.once('close', clear);
  }
}

/** Sends a response as fast as its reader takes it; gives up a reader that takes nothing. */
export class ResponseWriter {
  closed = false;
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

  async #send(message: Uint8Array): Promise<void> {
    if (message.length > pieceBytes) this.memory?.charge(message.length);
    let rest = message;
    for (; rest.length > pieceBytes; rest = rest.subarray(pieceBytes)) {
      await this.#sendPiece(rest.subarray(0, pieceBytes));
      this.memory?.advance();
    }
    await this.#sendPiece(rest);
    if (message.length > pieceBytes) this.memory?.release(message.length);
  }

  async #sendPiece(chunk: Uint8Array): Promise<void> {
    if (this.closed) throw gone();
    const hasSpace = this.#write(chunk);
    if (hasSpace && !this.#isFull) return;
    let stalled = false;
    const timer = setTimeout(() => {
      stalled = true;
      this.#wake?.();
    }, this.stallMs);
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    clearTimeout(timer);
    this.#wake = undefined;
    if (this.closed) throw gone();
    if (stalled) throw new ConnectError('the reader takes nothing', Code.Aborted);
  }
}

/** The refusal of a request that is of no protocol of the handler; Connect answers it with a bare status. */
function refusalOf(handler: UniversalHandler, request: HttpRequest, answer: UniversalServerResponse): HttpProblem {
  const { status, header = new Headers() } = answer;
  const path = handler.requestPath;
  if (status === 505) {
    const words = `${path} needs HTTP/2, and the request came over HTTP/${request.httpVersion}`;
    return new HttpProblem(status, 'HTTP version not supported', words, nodeHeaders(header));
  }
  const connect = handler.method.methodKind === 'unary' ? 'application/' : 'application/connect+';
  const got = request.headers['content-type'];
  const given = got === undefined ? 'the request has none' : `not ${JSON.stringify(got.slice(0, 100))}`;
  return new HttpProblem(
    status,
    'Unsupported media type',
    `${path} takes the content-type ${connect}json or ${connect}proto, or one of gRPC or gRPC-Web; ${given}`,
    { 'accept-post': `${connect}json, ${connect}proto` },
  );
}

function gone(): ConnectError {
  return new ConnectError('the reader has gone', Code.Canceled);
}

function nodeHeaders(headers: Headers): Record<string, string> {
  return Object.fromEntries(headers);
}
