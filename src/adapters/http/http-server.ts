import { setMaxListeners } from 'node:events';
import { type Server as Http1Server, createServer as createHttp1Server } from 'node:http';
import { type Http2Server, type Http2Session, createServer as createHttp2Server } from 'node:http2';
import type { Socket } from 'node:net';
import type { Cluster } from '../../application/ports/cluster.js';
import type { CommitLog } from '../../application/ports/commit-log.js';
import { streamSchedulerOptions } from '../../application/access/stream-scheduler.js';
import type { Clock } from '../../application/ports/clock.js';
import type { Logger } from '../../application/ports/logger.js';
import { alwaysIn, type ReadinessProbe } from '../../application/ports/readiness.js';
import type { Caller } from '../../application/access/access.js';
import { ConnectionListener } from '../listener/connection-listener.js';
import { defaultLimits, headerBytesMax, headerPairsMax, invalidFramesMax } from '../listener/limits.js';
import { refuseLargeHeaders } from '../listener/large-headers.js';
import { sessionFrom } from '../listener/session-from.js';
import { spreadStreams } from '../listener/spread-streams.js';
import { shuttingDown } from '../wire/error-answers.js';
import { Callers } from './callers.js';
import { clusterRoutes } from './cluster-routes.js';
import { connectRoutes } from './connect-routes.js';
import { isLoopback } from './cross-origin.js';
import { type HttpRequest, type HttpResponse, isHttp2, onceClosed } from './http-message.js';
import { JsonRoutes } from './json-routes.js';
import { type HttpServerOptions, type ResolvedHttpOptions, requestBytesMax, resolveHttpOptions } from './options.js';
import { RequestRouter } from './request-router.js';
import { RpcBridge } from './rpc-bridge.js';
import { SessionKeeper } from './session-keeper.js';
import { Turns } from './turns.js';

const { concurrentStreamsMax } = defaultLimits;
const starting = alwaysIn({ state: 'starting', problem: 'this node is starting' });
const stopping = alwaysIn({ state: 'stopping', problem: 'this node is shutting down' });
/**
 * Requests that an HTTP/1.1 connection may begin in one turn of the event loop. Node reads on for two megabytes, which
 * are 60,000 short requests that were sent without waiting for answers, before anything else has its turn.
 */
const pipelinedMax = 100;

/**
 * The listener for browsers, curl and Connect clients: Connect, gRPC-Web and gRPC for all services, the JSON routes,
 * `/ui`, `/healthz` and `/readyz`, over HTTP/1.1 and HTTP/2 cleartext on one port.
 */
export class HttpServer {
  readonly #host: string;
  readonly #listener: ConnectionListener;
  readonly #http1: Http1Server;
  readonly #http2: Http2Server;
  readonly #sessions: SessionKeeper;
  readonly #router: RequestRouter;
  readonly #callers = new Callers();
  readonly #closing = new AbortController();
  readonly #state: { readiness: ReadinessProbe; closing: boolean } = { readiness: starting, closing: false };
  /** HTTP/1.1 connections, with how many responses are in progress on each. */
  readonly #http1Busy = new Map<Socket, number>();
  /** Requests of HTTP/1.1 that began in this turn of the event loop. */
  readonly #begun = new Map<Socket, number>();
  #closed: Promise<void> | undefined;

  constructor(
    options: HttpServerOptions,
    commitLog: CommitLog,
    logger: Logger,
    /** Without it there is no ClusterService; the clock paces its watchers. */
    administration?: { readonly cluster: Cluster; readonly clock: Clock },
  ) {
    const resolved = resolveHttpOptions(options);
    const { timeouts, recordLimits, corsOrigins, nodeName } = resolved;
    // One listener a stream.
    setMaxListeners(0, this.#closing.signal);

    const turns = new Turns();
    const { bodyMs, stallMs } = timeouts;
    const json = new JsonRoutes(commitLog, { recordLimits, bodyMs, stallMs, turns });
    const rpc = new RpcBridge(
      (router) => {
        connectRoutes(router, commitLog, logger, { recordLimits, closing: this.#closing.signal, turns });
        if (administration !== undefined)
          clusterRoutes(router, administration.cluster, administration.clock, logger, this.#closing.signal);
      },
      logger,
      { readBytesMax: requestBytesMax(recordLimits), bodyMs, stallMs, turns },
      resolved.access,
    );
    const onLoopback = isLoopback(resolved.host);
    const { access, quota, memory, secure } = resolved;
    const scheme = secure === undefined ? 'http' : 'https';
    this.#router = new RequestRouter(
      ...([json, rpc, corsOrigins, nodeName, onLoopback, scheme, this.#state, logger, access, quota, memory] as const),
      stallMs,
    );
    this.#sessions = new SessionKeeper(timeouts);
    this.#http1 = this.#createHttp1(resolved);
    this.#http2 = this.#createHttp2(resolved);
    this.#host = resolved.host;
    this.#listener = new ConnectionListener(
      { ...resolved, protocols: ['http1', 'http2'], handshakeMs: timeouts.handshakeMs, stallMs },
      ({ protocol, socket, caller }) =>
        protocol === 'http1' ? this.#acceptHttp1(socket, caller) : this.#acceptHttp2(socket, caller),
    );
  }

  #createHttp1({ timeouts }: ResolvedHttpOptions): Http1Server {
    const server = createHttp1Server(
      {
        headersTimeout: timeouts.headersMs,
        requestTimeout: Math.max(timeouts.headersMs, timeouts.bodyMs),
        keepAliveTimeout: timeouts.keepAliveMs,
        connectionsCheckingInterval: Math.min(1_000, timeouts.headersMs),
        maxHeaderSize: headerBytesMax,
      },
      (request, response) => {
        this.#serve(request, response);
      },
    );
    // It never listens itself, and without this event it enforces no timeout on the sockets it is given.
    server.emit('listening');
    return server;
  }

  #createHttp2({ quota }: ResolvedHttpOptions): Http2Server {
    const server = createHttp2Server(
      {
        settings: { maxConcurrentStreams: concurrentStreamsMax, maxHeaderListSize: headerBytesMax, enablePush: false },
        maxHeaderListPairs: headerPairsMax,
        maxSessionMemory: 32,
        maxSessionInvalidFrames: invalidFramesMax,
        maxSessionRejectedStreams: 50,
        maxOutstandingPings: 4,
        unknownProtocolTimeout: 1_000,
      },
      (request, response) => {
        this.#serve(request, response);
      },
    );
    server.on('session', (session) => {
      this.#sessions.keep(session);
    });
    server.on('sessionError', () => undefined);
    refuseLargeHeaders(server);
    spreadStreams(server, streamSchedulerOptions(concurrentStreamsMax, quota));
    return server;
  }

  #acceptHttp2(socket: Socket, caller: Caller): Http2Session | undefined {
    const session = sessionFrom([this.#http2], () => this.#http2.emit('connection', socket));
    if (session !== undefined) this.#callers.knowSession(session, caller);
    return session;
  }

  #acceptHttp1(socket: Socket, caller: Caller): undefined {
    this.#callers.knowSocket(socket, caller);
    this.#http1Busy.set(socket, 0);
    socket.once('close', () => {
      this.#http1Busy.delete(socket);
    });
    this.#http1.emit('connection', socket);
  }

  #serve(request: HttpRequest, response: HttpResponse): void {
    if (!isHttp2(request)) {
      if (!this.#mayPipeline(request.socket)) return;
      this.#countHttp1(request.socket, response);
    }
    void this.#router.handle(request, response, this.#callers.of(request));
  }

  /** False when it is one request too many at once: the connection is closed, what follows on it is not served. */
  #mayPipeline(socket: Socket): boolean {
    if (this.#begun.size === 0)
      setImmediate(() => {
        this.#begun.clear();
      });
    const begun = (this.#begun.get(socket) ?? 0) + 1;
    this.#begun.set(socket, begun);
    if (begun > pipelinedMax) socket.destroy();
    return !socket.destroyed;
  }

  /** Node keeps an HTTP/1.1 connection open after a response even when its server is closing. */
  #countHttp1(socket: Socket, response: HttpResponse): void {
    this.#http1Busy.set(socket, (this.#http1Busy.get(socket) ?? 0) + 1);
    if (this.#state.closing) response.setHeader('connection', 'close');
    onceClosed(response, () => {
      const busy = (this.#http1Busy.get(socket) ?? 1) - 1;
      if (this.#http1Busy.has(socket)) this.#http1Busy.set(socket, busy);
      if (busy === 0 && this.#state.closing) socket.destroySoon();
    });
  }

  /** Begins to accept connections; rejects with the cause when it cannot. Not ready before `setReadiness`. */
  async listen(): Promise<{ host: string; port: number }> {
    return { host: this.#host, port: await this.#listener.listen() };
  }

  /** Sets what `/readyz` asks. Calls are served whatever the answer is. */
  setReadiness(readiness: ReadinessProbe): void {
    if (!this.#state.closing) this.#state.readiness = readiness;
  }

  /** Open connections, for tests and metrics. */
  get connections(): number {
    return this.#listener.connections;
  }

  /**
   * Refuses new connections and calls, ends streams and reads with UNAVAILABLE, lets appends finish. Resolves when no
   * connection is open: at once when none is in use, and within `graceMs` + 1 s in any case, by force. Idempotent.
   */
  close(graceMs: number): Promise<void> {
    this.#closed ??= this.#close(graceMs);
    return this.#closed;
  }

  async #close(graceMs: number): Promise<void> {
    this.#state.readiness = stopping;
    this.#state.closing = true;
    const closed = this.#listener.close(graceMs);
    this.#closing.abort(shuttingDown());
    this.#sessions.close();
    this.#http1.close();
    for (const [socket, busy] of this.#http1Busy) if (busy === 0) socket.destroySoon();
    await closed;
  }
}
