import { setMaxListeners } from 'node:events';
import { constants } from 'node:http2';
import type { DescService } from '@bufbuild/protobuf';
import type { Metadata, ServerInterceptingCallInterface, UntypedServiceImplementation } from '@grpc/grpc-js';
import { Server, ServerCredentials, logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import { type Access, anonymous, type Caller } from '../../application/access/access.js';
import type { CallQuota } from '../../application/access/call-quota.js';
import type { MemoryBudget } from '../../application/access/memory-budget.js';
import { streamSchedulerOptions } from '../../application/access/stream-scheduler.js';
import type { Cluster } from '../../application/ports/cluster.js';
import type { CommitLog } from '../../application/ports/commit-log.js';
import type { Clock } from '../../application/ports/clock.js';
import type { Logger } from '../../application/ports/logger.js';
import { defaultRecordLimits } from '../../domain/log/records.js';
import { ClusterService, file_golog_v1_cluster_service } from '../../gen/golog/v1/cluster_service_pb.js';
import { LogService, file_golog_v1_log_service } from '../../gen/golog/v1/log_service_pb.js';
import { Log } from '../../gen/log/v1/log_pb.js';
import { ConnectionListener, type Secure } from '../listener/connection-listener.js';
import { defaultLimits } from '../listener/limits.js';
import { sessionFrom } from '../listener/session-from.js';
import { refuseLargeHeaders } from '../listener/large-headers.js';
import { spreadStreams } from '../listener/spread-streams.js';
import { unknownCaller } from '../listener/unknown-caller.js';
import { shuttingDown } from '../wire/error-answers.js';
import { requestSlackBytes } from '../wire/limits.js';
import { callError } from './call-errors.js';
import { Callers, type Ends } from './callers.js';
import { clusterHandlers } from './cluster-handlers.js';
import { errorDetailsFile, healthFile } from './descriptor-files.js';
import { GuardedCall } from './guarded-call.js';
import { Health } from './health.js';
import { limitMessages, widenWindows } from './peer-call-limits.js';
import { LogHandlers } from './log-handlers.js';
import { type CallDeadlines, PipelinedCall } from './pipelined-call.js';
import { rawServiceDefinition } from './raw-service.js';
import { addReflection } from './reflection.js';
import { http2ServersOf, limitHeaders, limitStreamOf, onceStreamClosed, resetStream } from './session-limits.js';

export interface GrpcServerOptions {
  /** A name or an address; a name is resolved and all of its addresses are listened on. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Most bytes of a batch's payload, and of one record (default 1 MiB). */
  readonly batchBytesMax?: number;
  /** Streams that one connection may have open at a time; further calls of a well-behaved client wait (default 1,100). */
  readonly concurrentStreamsMax?: number;
  /** A connection is pinged this often (default 30 s) … */
  readonly keepaliveMs?: number;
  /** … and destroyed when a ping has no answer for this long (default 10 s). */
  readonly keepaliveTimeoutMs?: number;
  /** A connection without calls for this long is closed (default 5 min). */
  readonly connectionIdleMs?: number;
  /** Connections at a time, in all (default 4,096) … */
  readonly connectionsMax?: number;
  /** … and of one address (default 1,024); more are closed at once. */
  readonly connectionsPerAddressMax?: number;
  /** A connection that has not sent HTTP/2's preface for this long is closed (default 5 s). */
  readonly handshakeMs?: number;
  /** From a call to the end of its request, where that is a single message (default 60 s). */
  readonly requestMs?: number;
  /** A call whose reader takes nothing of what is there for it is reset after this long, or up to twice that (default 2 min). */
  readonly stallMs?: number;
  /** Encrypts connections, and authenticates callers. */
  readonly secure?: Secure;
  /** Decides which calls are allowed; without it all are. */
  readonly access?: Access;
  /** Bounds the calls in progress, except those of peers; without it there may be any number. */
  readonly quota?: CallQuota;
  /** Bounds what calls hold in memory; without it nothing is counted. */
  readonly memory?: MemoryBudget;
}

/**
 * A service of another adapter, served beside the listener's own. Its handlers take and give bytes. Its messages may
 * have up to 20 MiB, and its streams are its owner's to end: `close` leaves them alone for as long as the grace lasts.
 */
export interface PeerService {
  readonly descriptor: DescService;
  readonly implementation: UntypedServiceImplementation;
  /** Gets the caller of a call before the handler gets the call, with the same metadata. */
  readonly onCaller?: (metadata: Metadata, caller: Caller) => void;
}

/** The kind of a call, as an interceptor is told. */
interface CalledMethod {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
}

// grpc-js would print to the console what it also rejects with.
setLogVerbosity(logVerbosity.NONE);

/** A batch of the log's format takes 16 MiB, and a message of a peer may hold more than one. */
const peerMessageBytesMax = 20 * 1024 * 1024;
/** With the rest of a response this stays below 4 MiB, the most that gRPC clients take unless told otherwise. */
const readBytesMax = 2 * 1024 * 1024;

const pathOf = ({ typeName }: DescService, method: string): string => `/${typeName}/${method}`;

/** Streams that end by themselves once the server closes: what they began is answered first. */
const appendStreams: ReadonlySet<string> = new Set([
  `/${Log.typeName}/${Log.method.produceStream.name}`,
  `/${LogService.typeName}/${LogService.method.appendStream.name}`,
]);

function endForShutdown(call: PipelinedCall): void {
  const { code, details, metadata } = callError(shuttingDown());
  call.sendStatus({ code, details, metadata });
}

/** The gRPC listener: `log.v1.Log`, `golog.v1.LogService`, `golog.v1.ClusterService`, health, reflection, and peer services. */
export class GrpcServer {
  readonly #server: Server;
  readonly #health: Health;
  readonly #deadlines: Required<CallDeadlines>;
  readonly #closing = new AbortController();
  /** Streams that nothing but their client would end: followers, health watchers, reflection. */
  readonly #endless = new Set<PipelinedCall>();
  readonly #injector: ReturnType<Server['createConnectionInjector']>;
  readonly #listener: ConnectionListener;
  readonly #callers = new Callers();
  #closed: Promise<void> | undefined;

  constructor(
    private readonly options: GrpcServerOptions,
    commitLog: CommitLog,
    private readonly logger: Logger,
    /** Without it there is no ClusterService; the clock paces its watchers. */
    administration?: { readonly cluster: Cluster; readonly clock: Clock },
    peerServices: readonly PeerService[] = [],
  ) {
    const { batchBytesMax = defaultRecordLimits.batchBytesMax } = options;
    const limits = { recordBytesMax: batchBytesMax, batchBytesMax };
    const messageBytesMax = batchBytesMax + requestSlackBytes;
    const peerServiceAt = new Map(
      peerServices.flatMap((peerService) =>
        peerService.descriptor.methods.map(({ name }) => [pathOf(peerService.descriptor, name), peerService]),
      ),
    );
    const peerPaths = new Set(peerServiceAt.keys());
    // One listener a stream of appends.
    setMaxListeners(0, this.#closing.signal);
    const concurrentStreamsMax = options.concurrentStreamsMax ?? defaultLimits.concurrentStreamsMax;
    this.#deadlines = {
      requestMs: options.requestMs ?? defaultLimits.requestMs,
      stallMs: options.stallMs ?? defaultLimits.stallMs,
    };
    this.#server = new Server({
      'grpc.max_receive_message_length':
        peerServices.length > 0 ? Math.max(messageBytesMax, peerMessageBytesMax) : messageBytesMax,
      'grpc.max_concurrent_streams': concurrentStreamsMax,
      'grpc.keepalive_time_ms': options.keepaliveMs ?? 30_000,
      'grpc.keepalive_timeout_ms': options.keepaliveTimeoutMs ?? 10_000,
      'grpc.max_connection_idle_ms': options.connectionIdleMs ?? defaultLimits.idleMs,
      'grpc.enable_channelz': 0,
      interceptors: [
        (method, inner) => {
          const peerService = peerServiceAt.get(method.path);
          if (peerService === undefined && peerServices.length > 0) limitMessages(inner, messageBytesMax);
          const call = this.#pipelined(method, inner, peerService !== undefined);
          const ends = inner.getConnectionInfo();
          const caller = this.#callerAt(ends);
          this.#count(method, inner, call, caller, ends.remoteAddress, peerService !== undefined);
          return this.#guarded(method, call, caller, peerService);
        },
      ],
    });
    const closing = this.#closing.signal;
    const handlers = new LogHandlers({ limits, readBytesMax, closing }, commitLog, logger);
    this.#server.addService(rawServiceDefinition(Log), handlers.log());
    this.#server.addService(rawServiceDefinition(LogService), handlers.logService());
    const names = [Log.typeName, LogService.typeName];
    const files = [file_golog_v1_log_service, healthFile(), errorDetailsFile()];
    if (administration !== undefined) {
      const { cluster, clock } = administration;
      this.#server.addService(rawServiceDefinition(ClusterService), clusterHandlers(cluster, clock, logger));
      names.push(ClusterService.typeName);
      files.push(file_golog_v1_cluster_service);
    }
    for (const { descriptor, implementation } of peerServices) {
      this.#server.addService(rawServiceDefinition(descriptor), implementation);
      names.push(descriptor.typeName);
    }
    this.#health = new Health(names);
    this.#health.addTo(this.#server);
    addReflection(this.#server, files);
    limitHeaders(this.#server);
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    const http2Servers = http2ServersOf(this.#server);
    for (const http2Server of http2Servers) {
      refuseLargeHeaders(http2Server);
      spreadStreams(http2Server, streamSchedulerOptions(concurrentStreamsMax, options.quota));
    }
    widenWindows(this.#server, peerPaths, ({ socket }) => this.#mayBePeer(this.#callerAt(socket)));
    this.#listener = new ConnectionListener(
      {
        host: options.host,
        port: options.port,
        protocols: ['http2'],
        connectionsMax: options.connectionsMax ?? defaultLimits.connectionsMax,
        connectionsPerAddressMax: options.connectionsPerAddressMax ?? defaultLimits.connectionsPerAddressMax,
        handshakeMs: options.handshakeMs ?? defaultLimits.handshakeMs,
        stallMs: this.#deadlines.stallMs,
        secure: options.secure,
      },
      ({ socket, caller }) => {
        this.#callers.know(socket, caller);
        return sessionFrom(http2Servers, () => {
          this.#injector.injectConnection(socket);
        });
      },
    );
  }

  #callerAt(ends: Ends): Caller {
    if (this.options.secure === undefined) return anonymous;
    return this.#callers.of(ends) ?? unknownCaller;
  }

  #mayBePeer(caller: Caller): boolean {
    const { access } = this.options;
    return caller.node !== undefined && access?.mayBePeer(caller) !== false;
  }

  #pipelined(method: CalledMethod, inner: ServerInterceptingCallInterface, ofPeer: boolean): PipelinedCall {
    const { stallMs, requestMs } = this.#deadlines;
    const deadlines = method.requestStream ? { stallMs } : { stallMs, requestMs };
    if (ofPeer || !method.responseStream || appendStreams.has(method.path)) return new PipelinedCall(inner, deadlines);
    const call: PipelinedCall = new PipelinedCall(inner, deadlines, () => this.#endless.delete(call));
    this.#endless.add(call);
    if (this.#closing.signal.aborted) endForShutdown(call);
    return call;
  }

  /** Counts the call and what it holds until its stream has closed. Ends it at once when it is one too many. */
  #count(
    { path, requestStream }: CalledMethod,
    inner: ServerInterceptingCallInterface,
    call: PipelinedCall,
    caller: Caller,
    address: string | undefined,
    isPeers: boolean,
  ): void {
    const { quota, memory: budget } = this.options;
    const end = (): void => {
      // What it has not taken is in front of any status; this code is RESOURCE_EXHAUSTED to gRPC clients.
      resetStream(inner, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    };
    const memory = isPeers ? budget?.beginPeer(caller, address, end) : budget?.begin(caller, address, end);
    if (memory !== undefined) call.countIn(memory, !requestStream || appendStreams.has(path));
    let leave: (() => void) | undefined;
    try {
      limitStreamOf(inner);
      if (!isPeers) leave = quota?.begin(caller, address);
    } catch (error) {
      call.refuse(callError(error));
    }
    onceStreamClosed(inner, () => {
      leave?.();
      memory?.close();
    });
  }

  #guarded(
    { path, requestStream, responseStream }: CalledMethod,
    call: PipelinedCall,
    caller: Caller,
    peerService: PeerService | undefined,
  ): GuardedCall | PipelinedCall {
    const { access } = this.options;
    if (access === undefined || access.passes(path)) return call;
    return new GuardedCall(call, {
      admit: (metadata) => {
        access.admit(caller, path, metadata.get('golog-forwarded').length > 0);
        peerService?.onCaller?.(metadata, caller);
      },
      ...((requestStream || responseStream) &&
        peerService === undefined && { watch: (end) => access.watch({ caller, call: path, end }) }),
      finishes: appendStreams.has(path),
    });
  }

  /** Binds and serves; health says SERVING from here on. Rejects when the address cannot be had. */
  async listen(): Promise<{ host: string; port: number }> {
    const port = await this.#listener.listen();
    this.setServing(true);
    return { host: this.options.host, port };
  }

  /** Open connections, for tests and metrics. */
  get connections(): number {
    return this.#listener.connections;
  }

  /** What the health service says of the server and its services, and under the name `latched`. */
  setServing(serving: boolean, latched = serving): void {
    if (!this.#closing.signal.aborted) this.#health.setServing(serving, latched);
  }

  /**
   * Refuses new connections and calls, ends streams that follow the log at once and streams of appends once what they
   * began is answered (both UNAVAILABLE), lets unary calls finish, and after `graceMs` destroys what is left.
   * Resolves when no connection is open, within `graceMs` + 1 s in any case. Idempotent.
   */
  close(graceMs: number): Promise<void> {
    this.#closed ??= this.#close(graceMs);
    return this.#closed;
  }

  async #close(graceMs: number): Promise<void> {
    this.setServing(false);
    this.#closing.abort();
    this.#endless.forEach(endForShutdown);
    // Its timer destroys the sessions that outlive the grace; without channelz forceShutdown() knows of no session.
    this.#injector.drain(graceMs);
    // Its only error is "not running", which is what is wanted.
    this.#server.tryShutdown(() => undefined);
    const warning = setTimeout(() => {
      this.logger.warn(
        'shutdown_grace_expired',
        { graceMs },
        'calls outlived the grace period; destroying their connections',
      );
    }, graceMs);
    await this.#listener.close(graceMs);
    clearTimeout(warning);
  }
}
