import type { GrpcServer } from '../adapters/grpc/grpc-server.js';
import type { HealthServer } from '../adapters/http/health-server.js';
import type { HttpServer } from '../adapters/http/http-server.js';
import { inOrder } from '../application/node/in-order.js';
import type { StartedNode } from '../application/node/started-node.js';
import { LatchedReadiness } from '../application/node/latched-readiness.js';
import type { Clock } from '../application/ports/clock.js';
import type { DataDirectory } from '../application/ports/data-directory.js';
import type { Logger } from '../application/ports/logger.js';
import type { NodeState, Readiness } from '../application/ports/readiness.js';
import { Patience } from '../application/waiting/patience.js';
import { repeat } from '../application/waiting/repeat.js';
import { formatHostPort, parseHostPort } from './addresses.js';
import { type Config, rpcHost } from './config.js';
import type { NodeSecurity } from './node-security.js';

/**
 * Called once when this node must not continue; must not throw. `golog serve` ends the process with a non-zero code; an
 * embedding process that binds nothing gets a log line, and every later append is refused.
 */
export type OnFatal = (error: unknown) => void;
export const OnFatal = Symbol('OnFatal');

/** How often gRPC health is told how ready the node is. */
const readinessMs = 250;
/** How long calls in flight may take after a stop was requested. */
const graceMs = 5_000;
/** How long a step of a stop may take that needs the disk. */
const diskGraceMs = 5_000;

export interface NodeAddresses {
  /** HOST:PORT of gRPC. */
  readonly rpcAddr: string;
  /** HOST:PORT of Connect, gRPC-Web, gRPC and JSON. */
  readonly httpAddr: string;
  /** HOST:PORT of gossip. */
  readonly gossipAddr: string;
}

/** The ports that a node listens on before it starts in its cluster. */
export interface Listening {
  readonly rpcPort: number;
  readonly httpPort: number;
}

/** A listener that cannot bind its address; the message names the option to change. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
}

async function listenOn(
  option: string,
  wanted: { host: string; port: number },
  server: GrpcServer | HttpServer | HealthServer,
): Promise<{ host: string; port: number }> {
  try {
    return await server.listen();
  } catch (cause) {
    throw listenError(option, formatHostPort(wanted), cause);
  }
}

function listenError(option: string, wanted: string, cause: unknown): ListenError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new ListenError(`cannot listen on ${wanted} (${option}): ${reason}`, { cause });
}

/** Whether the system refused an address to a socket. Of a start in the cluster, only gossip listens. */
function isOfListening(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && (error.syscall === 'bind' || error.syscall === 'listen');
}

/**
 * The lifecycle of a node: listen, start in the cluster, serve; transfer leadership, stop listening, drain, sync and
 * close. It listens from the beginning, since joining needs messages from peers, and refuses calls as retryable until
 * it has started.
 */
export class Node {
  #starting: Promise<NodeAddresses> | undefined;
  #stopping: Promise<boolean> | undefined;
  readonly #stopped = new AbortController();
  #started: StartedNode | undefined;
  readonly #readiness = new LatchedReadiness();
  #toldState: NodeState = 'starting';
  #stopTelling = (): Promise<void> => Promise.resolve();

  constructor(
    private readonly config: Config,
    private readonly name: string,
    private readonly logger: Logger,
    private readonly directory: DataDirectory,
    private readonly grpc: GrpcServer,
    private readonly http: HttpServer,
    /** The listener for probes, if there is one. */
    private readonly health: HealthServer | undefined,
    private readonly security: NodeSecurity,
    private readonly clock: Clock,
    private readonly onFatal: OnFatal,
    /** Opens the log and enters the cluster with the listening addresses. Leaves nothing open when it rejects. */
    private readonly startInCluster: (
      listening: Listening,
      signal: AbortSignal,
      onReadiness: (ask: () => Readiness) => void,
    ) => Promise<StartedNode>,
  ) {}

  /**
   * Resolves when both listeners accept calls and the node is in its cluster. On failure, stops everything and rejects
   * with the cause: an `AbortError` after a call of `stop`. Call it at most once.
   */
  async start(): Promise<NodeAddresses> {
    this.#starting = this.#start();
    try {
      return await this.#starting;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async #start(): Promise<NodeAddresses> {
    const { config } = this;
    const { signal } = this.#stopped;
    signal.throwIfAborted();
    const healthAddr = await this.#listenForProbes();
    signal.throwIfAborted();
    const rpc = await listenOn('--rpc-port', { host: rpcHost(config), port: config['rpc-port'] }, this.grpc);
    this.#tellReadiness();
    signal.throwIfAborted();
    const http = await listenOn('--http-port', { host: config['http-addr'], port: config['http-port'] }, this.http);
    this.http.setReadiness(this.#readiness);
    this.#stopTelling = repeat(this.clock, readinessMs, async () => this.#tellReadiness(), this.onFatal);
    signal.throwIfAborted();
    const [rpcAddr, httpAddr] = [formatHostPort(rpc), formatHostPort(http)];
    const onReadiness = (ask: () => Readiness): void => {
      if (signal.aborted) return;
      this.#readiness.follow(ask);
      this.#tellReadiness();
    };
    const started = await this.startInCluster({ rpcPort: rpc.port, httpPort: http.port }, signal, onReadiness).catch(
      (error: unknown) => {
        throw isOfListening(error) ? listenError('--bind-addr', config['bind-addr'], error) : error;
      },
    );
    this.#started = started;
    signal.throwIfAborted();
    const { gossipAddr } = started;
    const { startOffset, endOffset, bytes, segments, recovery } = started.log;
    this.logger.info(
      'serving',
      {
        rpcAddr,
        httpAddr,
        gossipAddr,
        ...(healthAddr !== undefined && { healthAddr }),
        dataDir: this.config['data-dir'],
        node: this.name,
        members: started.consensus.servers().map(({ id }) => id),
        logStartOffset: startOffset,
        logEndOffset: endOffset,
        bytes,
        segments,
        recovery,
        access: this.security.summary,
      },
      'serving',
    );
    return { rpcAddr, httpAddr, gossipAddr };
  }

  async #listenForProbes(): Promise<string | undefined> {
    const wanted = this.config['health-addr'];
    if (this.health === undefined || wanted === undefined) return undefined;
    this.health.setReadiness(this.#readiness);
    return formatHostPort(await listenOn('--health-addr', parseHostPort(wanted)!, this.health));
  }

  /** Logs a change; the start and the stop have lines of their own. */
  #logReadiness({ state, problem }: Readiness): void {
    const before = this.#toldState;
    this.#toldState = state;
    if (state === before || state === 'starting' || state === 'stopping') return;
    const level = before === 'ready' ? 'warn' : 'info';
    this.logger[level]('readiness_changed', { state, problem }, state === 'ready' ? 'ready' : 'not ready');
  }

  /** Sets what gRPC health answers, and keeps the latch; `/readyz` asks by itself. */
  #tellReadiness(): void {
    const { strict, latched } = this.#readiness;
    this.#logReadiness(strict);
    this.grpc.setServing(strict.state === 'ready', latched.state === 'ready');
  }

  /**
   * Refuses new calls, ends the streams, lets calls in flight finish, then syncs and closes the log. Aborts a start in
   * progress first. Resolves with false if the disk hangs: not everything is closed then, and the process may be unable
   * to exit. Idempotent.
   */
  stop(): Promise<boolean> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<boolean> {
    this.logger.info('stopping', {}, 'stopping');
    this.#stopped.abort();
    const patience = new Patience(this.clock, diskGraceMs);
    const { within } = patience;
    // Whatever the start opens before it notices the abort is closed below, or by the start itself.
    await within(() => this.#starting?.catch(() => undefined));
    await this.#stopTelling();
    this.#readiness.follow(() => ({ state: 'stopping', problem: 'this node is shutting down' }));
    this.#tellReadiness();
    const closeListeners = async (): Promise<void> => {
      await Promise.all([this.grpc.close(graceMs), this.http.close(graceMs)]);
    };
    await inOrder(
      () => this.config['leave-on-terminate'] && this.#started?.leave(within),
      () => (this.#started === undefined ? closeListeners() : this.#started.close(closeListeners, within)),
      () => within(() => this.directory.close()),
      () => this.security.close(),
      () => this.health?.close(),
    );
    const logEndOffset = this.#started?.log.endOffset;
    if (patience.isOver)
      this.logger.error('stopped_without_disk', { logEndOffset }, 'the disk hangs; stopped without closing the files');
    else this.logger.info('stopped', { logEndOffset }, 'stopped');
    return !patience.isOver;
  }
}
