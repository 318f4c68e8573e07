import type { ConnectRouter } from '@connectrpc/connect';
import { createConnectRouter, createContextValues } from '@connectrpc/connect';
import { compressionBrotli, compressionGzip, universalRequestFromNodeRequest } from '@connectrpc/connect-node';
import type { UniversalHandler, UniversalServerResponse } from '@connectrpc/connect/protocol';
import { constants } from 'node:http2';
import type { Access, Caller } from '../../application/access/access.js';
import type { CallMemory } from '../../application/access/call-memory.js';
import type { Logger } from '../../application/ports/logger.js';
import { addressKey, callerKey, guardInterceptor, memoryKey } from './call-guard.js';
import { spreadEnds } from '../listener/spread-streams.js';
import { AppendRequests, appendRequestsKey } from './append-requests.js';
import { type ElementLimitOptions, limitQuery, turnFor, withElementLimit } from './element-limit.js';
import { decodeJson } from './json-message.js';
import type { Turns } from './turns.js';
import { answerEncoder } from './json-answers.js';
import { HttpProblem } from './problem.js';
import { addressOf, type HttpRequest, type HttpResponse, isHttp2 } from './http-message.js';
import { compressedBytesMin, nodeHeaders, ResponseWriter } from './response-writer.js';
import { writerKey } from './stream-messages.js';

/** `setTimeout` takes no more: 24.8 days. */
const timeoutMsMax = 2 ** 31 - 1;
/** With a message that is longer than those of readers. */
const longUrlBytes = 1024;
const writeBytesMax = 64 * 1024 * 1024;
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
  readonly #ends = spreadEnds();

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
      compressMinBytes: compressedBytesMin,
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
    const writer = new ResponseWriter(response, this.options.stallMs, memory);
    const appends = AppendRequests.of(handler.method.input, this.options.turns, address);
    let universalRequest;
    try {
      const values = createContextValues()
        .set(callerKey, caller)
        .set(addressKey, address)
        .set(memoryKey, memory)
        .set(writerKey, writer)
        .set(appendRequestsKey, appends);
      universalRequest = universalRequestFromNodeRequest(request, response, undefined, values);
    } catch {
      throw new HttpProblem(400, 'Invalid input', 'the request has no usable Host');
    }
    this.#limitBody(handler, request);
    const urlBytes = (request.url ?? '').length;
    if (urlBytes > longUrlBytes) await turnFor(urlBytes);
    try {
      const turnToFail = (): Promise<void> =>
        new Promise((resolve) => {
          this.#ends.enter(resolve, address);
        });
      const limit = { ...this.#elementLimit, appends, memory, turnToFail };
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
