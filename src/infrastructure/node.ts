import type { GrpcServer } from '../adapters/grpc/grpc-server.js';
import type { HttpServer } from '../adapters/http/http-server.js';
import type { Consensus } from '../application/ports/consensus.js';
import type { DataDirectory } from '../application/ports/data-directory.js';
import type { Logger } from '../application/ports/logger.js';
import type { HardStateFile } from '../domain/log/hard-state.js';
import type { Log } from '../domain/log/log.js';
import { type Config, rpcHost } from './config.js';

/**
 * Called once when this node may not go on; must not throw. `golog serve` ends the process with a non-zero code; an
 * embedding process that binds nothing gets a line in its log and every later append refused.
 */
export type OnFatal = (error: unknown) => void;
export const OnFatal = Symbol('OnFatal');

/** Calls under way may take this long after a stop was asked for. */
const graceMs = 5_000;

export interface NodeAddresses {
  /** HOST:PORT of gRPC. */
  readonly rpcAddr: string;
  /** HOST:PORT of Connect, gRPC-Web, gRPC and JSON. */
  readonly httpAddr: string;
}

function hostPort({ host, port }: { host: string; port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** A listener that could not have its address; the message names the option to change. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
}

async function listenOn(option: string, host: string, port: number, server: GrpcServer | HttpServer): Promise<string> {
  try {
    return hostPort(await server.listen());
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ListenError(`cannot listen on ${hostPort({ host, port })} (${option}): ${reason}`, { cause });
  }
}

/** A node's life: listen when the log is open; stop listening, drain, sync and close. */
export class Node {
  #stopping: Promise<void> | undefined;

  constructor(
    private readonly config: Config,
    private readonly logger: Logger,
    private readonly directory: DataDirectory,
    private readonly hardState: HardStateFile,
    private readonly log: Log,
    private readonly consensus: Consensus,
    private readonly grpc: GrpcServer,
    private readonly http: HttpServer,
  ) {}

  /** Resolves when both listeners take calls; when one cannot, stops all and rejects with the cause. */
  async start(): Promise<NodeAddresses> {
    try {
      return await this.#start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async #start(): Promise<NodeAddresses> {
    const { config } = this;
    const rpcAddr = await listenOn('--rpc-port', rpcHost(config), config['rpc-port'], this.grpc);
    const httpAddr = await listenOn('--http-port', config['http-addr'], config['http-port'], this.http);
    this.grpc.setServing(true);
    this.http.setServing(true);
    const { startOffset, endOffset, bytes, segments, recovery } = this.log;
    this.logger.info(
      {
        rpcAddr,
        httpAddr,
        dataDir: this.config['data-dir'],
        node: this.config['node-name'],
        logStartOffset: startOffset,
        logEndOffset: endOffset,
        bytes,
        segments,
        recovery,
        access: 'anonymous: no TLS and no ACL, every caller may do everything',
      },
      'serving',
    );
    return { rpcAddr, httpAddr };
  }

  /** Refuses new calls, ends the streams, lets calls under way finish, syncs and closes the log. Idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.logger.info({}, 'stopping');
    this.grpc.setServing(false);
    this.http.setServing(false);
    await Promise.all([this.grpc.close(graceMs), this.http.close(graceMs)]);
    await this.consensus.close();
    await this.log.close();
    await this.hardState.close();
    await this.directory.close();
    this.logger.info({ logEndOffset: this.log.endOffset }, 'stopped');
  }
}
