import { createServer as createHttp1Server, type Server as Http1Server } from 'node:http';
import { createServer as createHttp2Server, type Http2Server, type Http2Session } from 'node:http2';
import type { Writable } from 'node:stream';
import { alwaysIn, type ReadinessProbe } from '../../application/ports/readiness.js';
import { ConnectionListener } from '../listener/connection-listener.js';
import { headerBytesMax, headerPairsMax, invalidFramesMax } from '../listener/limits.js';
import { sessionFrom } from '../listener/session-from.js';
import { type HttpRequest, type HttpResponse, respond } from './http-message.js';

/** Few: probes come one at a time, and what they ask for is cheap. */
const connectionsMax = 64;
const connectionsPerAddressMax = 16;
const concurrentStreamsMax = 8;
const requestBytesMax = 1_024;
const handshakeMs = 5_000;
const idleMs = 60_000;

const checkPath = '/grpc.health.v1.Health/Check';
const watchPath = '/grpc.health.v1.Health/Watch';
/** How often a watched node is asked; an answer is a few reads of memory. */
const watchMs = 250;
const grpcStatus = { ok: 0, invalidArgument: 3, notFound: 5, unimplemented: 12 } as const;
const servingStatus = { serving: 1, notServing: 2, unknownService: 3 } as const;

/**
 * A listener in clear for probes, which have no certificate: `/healthz` and `/readyz` over HTTP, and `Check` and `Watch`
 * of `grpc.health.v1.Health` for the service names '' and `latched`, all on one port. It serves nothing else.
 */
export class HealthServer {
  readonly #listener: ConnectionListener;
  readonly #http1: Http1Server;
  readonly #http2: Http2Server;
  readonly #host: string;
  #readiness: ReadinessProbe = alwaysIn({ state: 'starting', problem: 'this node is starting' });

  constructor({ host, port }: { readonly host: string; readonly port: number }) {
    this.#host = host;
    const serve = (request: HttpRequest, response: HttpResponse): void => {
      this.#serve(request, response);
    };
    this.#http1 = createHttp1Server(
      {
        headersTimeout: handshakeMs,
        requestTimeout: handshakeMs,
        keepAliveTimeout: handshakeMs,
        connectionsCheckingInterval: 1_000,
        maxHeaderSize: headerBytesMax,
      },
      serve,
    );
    // It never listens itself, and without this event it enforces no timeout on the sockets it is given.
    this.#http1.emit('listening');
    this.#http2 = createHttp2Server(
      {
        settings: { maxConcurrentStreams: concurrentStreamsMax, maxHeaderListSize: headerBytesMax, enablePush: false },
        maxHeaderListPairs: headerPairsMax,
        maxSessionMemory: 1,
        maxSessionInvalidFrames: invalidFramesMax,
        maxOutstandingPings: 4,
      },
      serve,
    );
    this.#http2.on('sessionError', () => undefined);
    this.#http2.on('session', (session) => {
      session.setTimeout(idleMs, () => {
        session.destroy();
      });
    });
    this.#listener = new ConnectionListener(
      {
        ...{ host, port, connectionsMax, connectionsPerAddressMax, handshakeMs, stallMs: idleMs },
        protocols: ['http1', 'http2'],
      },
      ({ protocol, socket }): Http2Session | undefined => {
        if (protocol === 'http2') return sessionFrom([this.#http2], () => this.#http2.emit('connection', socket));
        this.#http1.emit('connection', socket);
        return undefined;
      },
    );
  }

  async listen(): Promise<{ host: string; port: number }> {
    return { host: this.#host, port: await this.#listener.listen() };
  }

  setReadiness(readiness: ReadinessProbe): void {
    this.#readiness = readiness;
  }

  async close(): Promise<void> {
    this.#http1.close();
    await this.#listener.close(0);
  }

  #serve(request: HttpRequest, response: HttpResponse): void {
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    const path = request.url ?? '/';
    const url = new URL(URL.canParse(path, 'http://probe') ? path : '/', 'http://probe');
    if (request.method === 'POST' && url.pathname === checkPath) {
      this.#read(request, response, (service) => {
        if (!isWatched(service)) endGrpc(response, grpcStatus.notFound);
        else endGrpc(response, grpcStatus.ok, this.#statusOf(service));
      });
      return;
    }
    if (request.method === 'POST' && url.pathname === watchPath) {
      this.#read(request, response, (service) => {
        this.#watch(service, response);
      });
      return;
    }
    request.resume();
    if (request.headers['content-type']?.startsWith('application/grpc') === true)
      endGrpc(response, grpcStatus.unimplemented);
    else this.#answer(request, response, url);
  }

  #answer(request: HttpRequest, response: HttpResponse, { pathname, searchParams }: URL): void {
    const plain = { 'content-type': 'application/json', 'cache-control': 'no-store' };
    if (request.method !== 'GET' && request.method !== 'HEAD')
      respond(request, response, 405, { ...plain, allow: 'GET, HEAD' }, '{"title":"Method not allowed"}');
    else if (pathname === '/healthz') respond(request, response, 200, plain, '{"status":"alive"}');
    else if (pathname === '/readyz') respondReadiness(request, response, this.#readiness, searchParams);
    else respond(request, response, 404, plain, '{"title":"No such path: expected /healthz or /readyz"}');
  }

  /** Calls `then` with the service that a request names; a malformed one is answered. */
  #read(request: HttpRequest, response: HttpResponse, then: (service: string) => void): void {
    let bytes = Buffer.alloc(0);
    request.on('data', (piece: Buffer) => {
      // What follows is not stored: the message is then malformed.
      if (bytes.length <= requestBytesMax) bytes = Buffer.concat([bytes, piece]);
      else endGrpc(response, grpcStatus.invalidArgument);
    });
    request.on('end', () => {
      if (response.headersSent) return;
      const service = serviceOf(bytes);
      if (service === undefined) endGrpc(response, grpcStatus.invalidArgument);
      else then(service);
    });
  }

  #statusOf(service: string): number {
    if (!isWatched(service)) return servingStatus.unknownService;
    const { state } = service === '' ? this.#readiness.strict : this.#readiness.latched;
    return state === 'ready' ? servingStatus.serving : servingStatus.notServing;
  }

  /** Sends the status now and after each change, until the caller leaves. */
  #watch(service: string, response: HttpResponse): void {
    response.writeHead(200, { 'content-type': 'application/grpc' });
    const answer: Writable = response;
    let told: number | undefined;
    const tell = (): void => {
      const status = this.#statusOf(service);
      if (status !== told) answer.write(framedStatus(status));
      told = status;
    };
    tell();
    const timer = setInterval(tell, watchMs);
    response.on('close', () => {
      clearInterval(timer);
    });
  }
}

const isWatched = (service: string): boolean => service === '' || service === 'latched';

/** Returns a framed `HealthCheckResponse`. */
const framedStatus = (status: number): Buffer => Buffer.of(0, 0, 0, 0, 2, 8, status);

/** Answers `/readyz`, or `/readyz?latched`. */
export function respondReadiness(
  request: HttpRequest,
  response: HttpResponse,
  { strict, latched }: ReadinessProbe,
  query: URLSearchParams,
): void {
  const { state, problem } = query.has('latched') ? latched : strict;
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' };
  const isReady = state === 'ready';
  respond(
    request,
    response,
    isReady ? 200 : 503,
    isReady ? headers : { ...headers, 'retry-after': '1' },
    JSON.stringify({ status: state, problem }),
  );
}

/** Returns the `service` of a framed `HealthCheckRequest`, its only field; undefined if it is malformed. */
function serviceOf(framed: Buffer): string | undefined {
  const prefixBytes = 5;
  if (framed.length < prefixBytes || framed[0] !== 0 || framed.readUInt32BE(1) !== framed.length - prefixBytes)
    return undefined;
  const message = framed.subarray(prefixBytes);
  if (message.length === 0) return '';
  const [tag, length = 0] = message;
  return tag === 0x0a && length < 0x80 && message.length === 2 + length ? message.toString('utf8', 2) : undefined;
}

function endGrpc(response: HttpResponse, code: number, status?: number): void {
  if (response.headersSent) return;
  response.writeHead(200, { 'content-type': 'application/grpc' });
  response.addTrailers({ 'grpc-status': String(code) });
  if (status === undefined) response.end();
  else response.end(framedStatus(status));
}
