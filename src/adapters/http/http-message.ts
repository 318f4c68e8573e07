import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';

/** A request, of HTTP/1.1 or HTTP/2; `node:http2`'s compatibility API gives both one shape. */
export type HttpRequest = IncomingMessage | Http2ServerRequest;
export type HttpResponse = ServerResponse | Http2ServerResponse;

export function isHttp2(message: HttpRequest): message is Http2ServerRequest {
  return 'stream' in message;
}

/** The request target's path and query; undefined when it has none (`*`, or bytes that are not a URL). */
export function targetOf(request: HttpRequest): URL | undefined {
  const target = request.url ?? '';
  if (!target.startsWith('/') && !/^https?:\/\//i.test(target)) return undefined;
  // Not resolved against a base when it starts with a slash: `//host/path` is a path here, not an authority.
  const absolute = target.startsWith('/') ? `http://localhost${target}` : target;
  return URL.canParse(absolute) ? new URL(absolute) : undefined;
}

/** The host and port that the caller asked for; undefined without (HTTP/1.0). */
export function authorityOf(request: HttpRequest): string | undefined {
  return isHttp2(request) && request.authority !== '' ? request.authority : request.headers.host;
}

/** Ends a response with a whole body; to HEAD it sends the header that GET would get. */
export function respond(
  request: HttpRequest,
  response: HttpResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string | Uint8Array,
): void {
  if (response.headersSent || response.destroyed || response.writableEnded) return;
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const length = status === 204 ? {} : { 'content-length': String(bytes.length) };
  const all = { ...headers, ...length, 'x-content-type-options': 'nosniff' };
  // The two `writeHead` differ in what they return only; a union of their overloads cannot be called.
  if (isHttp2Response(response)) response.writeHead(status, all);
  else response.writeHead(status, all);
  if (request.method === 'HEAD') response.end();
  else response.end(bytes);
}

export function isHttp2Response(response: HttpResponse): response is Http2ServerResponse {
  return 'stream' in response;
}

/** Calls back once the response has ended or its connection has gone, whichever comes first. */
export function onceClosed(response: HttpResponse, callback: () => void): void {
  if (isHttp2Response(response)) response.once('close', callback);
  else response.once('close', callback);
}

/** Where the request came from; undefined when its connection has gone. */
export function addressOf(request: HttpRequest): string | undefined {
  return isHttp2(request) ? request.stream.session?.socket.remoteAddress : request.socket.remoteAddress;
}

/** Ends a call whose reader takes too little; over HTTP/2 by the code that is RESOURCE_EXHAUSTED to gRPC clients. */
export function giveUp(request: HttpRequest): void {
  if (isHttp2(request)) request.stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  else request.socket.destroy();
}

/** From the end of a response to the reset of a stream whose client still sends; trailers must be out by then. */
const lingerMs = 250;

/**
 * Drops a response that has ended when it is not taken within `stallMs`. Tells a client that still sends that
 * nobody listens any more (RFC 9113 §8.1); it would hold the stream, and a shutdown, open.
 */
export function dropWhenSlow(request: HttpRequest, response: HttpResponse, stallMs: number): void {
  if (isHttp2(request) ? request.stream.closed : response.writableFinished || response.destroyed) return;
  const stillSends = isHttp2(request) && !request.readableEnded;
  const timer = setTimeout(
    () => {
      if (!isHttp2(request)) request.socket.destroy();
      else request.stream.close(stillSends ? constants.NGHTTP2_NO_ERROR : constants.NGHTTP2_CANCEL);
    },
    stillSends ? lingerMs : stallMs,
  ).unref();
  onceClosed(response, () => {
    clearTimeout(timer);
  });
}
