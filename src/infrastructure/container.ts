import 'reflect-metadata';
import { Container } from 'inversify';
import { crc32c } from '../adapters/checksum/crc32c.js';
import { systemClock } from '../adapters/clock/system-clock.js';
import { openDataDirectory } from '../adapters/file-system/data-directory.js';
import { GrpcServer, type GrpcServerOptions } from '../adapters/grpc/index.js';
import { HttpServer, type HttpServerOptions } from '../adapters/http/index.js';
import { GrpcJoinTransport, GrpcPeerTransport, PeerEndpoint } from '../adapters/peer/index.js';
import { CallQuota } from '../application/call-quota.js';
import { Cluster } from '../application/cluster.js';
import { CommitLog } from '../application/commit-log.js';
import { ClusterGate, CommitLogGate } from '../application/gates.js';
import { DiskReserve } from '../application/disk-reserve.js';
import { Clock } from '../application/ports/clock.js';
import { DataDirectory } from '../application/ports/data-directory.js';
import { Gossip } from '../application/ports/gossip.js';
import { JoinTransport } from '../application/ports/join-transport.js';
import { defaultMemoryBudget, MemoryBudget } from '../application/memory-budget.js';
import { Logger } from '../application/ports/logger.js';
import { PeerTransport } from '../application/ports/peer-transport.js';
import { HardStateFile } from '../domain/log/hard-state.js';
import { Log } from '../domain/log/log.js';
import type { Seal } from '../domain/log/record-batch.js';
import { Config, rpcHost } from './config.js';
import { createLogger } from './logging.js';
import { Node, OnFatal } from './node.js';
import { nodeGossip } from './node-gossip.js';
import { NodeSecurity } from './node-security.js';
import { takePart } from './take-part.js';
import {
  ListenerLimits,
  NodeDiskReserve,
  NodeHardState,
  NodeLog,
  NodeMemory,
  NodePeers,
  NodeQuota,
  Security,
} from './tokens.js';

interface ListenerLimits {
  readonly grpc: Partial<GrpcServerOptions>;
  readonly http: Partial<HttpServerOptions>;
}

/** Calls under way on both listeners; one costs some 50 KB at most. */
const callsMax = 8_192;

/** What binds the batches of this node's log. */
function sealOf(directory: DataDirectory): Seal {
  return { crc32c, logId: directory.logId };
}

/**
 * The wiring of a node, in one place. Every binding is a factory over plain constructors, so that a test rebinds a port
 * (`container.rebind(DataDirectory)…`) and the rest follows. Opening a log takes time: ask with `getAsync`.
 */
export function createContainer(config: Config): Container {
  const container = new Container({ defaultScope: 'Singleton' });
  container.bind(Config).toConstantValue(config);
  container.bind(Logger).toConstantValue(createLogger(config['log-level']));
  container.bind(Clock).toConstantValue(systemClock);
  container
    .bind<OnFatal>(OnFatal)
    .toResolvedValue(
      (logger: Logger) => (error: unknown) =>
        logger.error({ error }, 'fatal: this node takes no more appends until it is started anew'),
      [Logger],
    );

  container
    .bind(DataDirectory)
    .toResolvedValue((config: Config) => openDataDirectory(config['data-dir'], { create: true }), [Config]);
  container.bind(NodeHardState).toResolvedValue(
    async (directory: DataDirectory, logger: Logger) => {
      const hardState = await HardStateFile.open(directory.raft, crc32c);
      const { damage } = hardState;
      if (damage !== undefined) logger.warn({ damage }, 'one of the two slots of the hard state is not whole');
      return hardState;
    },
    [DataDirectory, Logger],
  );
  container.bind(NodeLog).toResolvedValue(
    (directory: DataDirectory, hardState: HardStateFile, config: Config, logger: Logger) =>
      Log.open(directory.log, {
        logId: directory.logId,
        crc32c,
        segmentBytesMax: config['segment-bytes'],
        // Retention drops whole segments, so a segment must not span more than a part of the age that is kept.
        ...(config['retention-age'] !== undefined && { segmentAgeMsMax: Math.ceil(config['retention-age'] / 8) }),
        durableIndex: hardState.current.commit,
        onNotice: (notice) => logger.warn(notice, `log: ${notice.kind}`),
      }),
    [DataDirectory, NodeHardState, Config, Logger],
  );
  container
    .bind(NodeDiskReserve)
    .toResolvedValue(
      (directory: DataDirectory, config: Config, clock: Clock, logger: Logger) =>
        DiskReserve.open(directory.log, config['disk-reserve-bytes'], clock, (cause) =>
          logger.warn({ cause }, 'cannot tell how much space is free'),
        ),
      [DataDirectory, Config, Clock, Logger],
    );
  container
    .bind(Security)
    .toResolvedValue((config: Config, logger: Logger) => NodeSecurity.open(config, logger), [Config, Logger]);
  container
    .bind(NodePeers)
    .toResolvedValue(
      (logger: Logger, { tls }: NodeSecurity) => new PeerEndpoint(logger, tls.trust),
      [Logger, Security],
    );
  container.bind(PeerTransport).toResolvedValue(
    (
      directory: DataDirectory,
      endpoint: PeerEndpoint,
      clock: Clock,
      logger: Logger,
      config: Config,
      { tls: { credentials } }: NodeSecurity,
    ) =>
      new GrpcPeerTransport({
        ...{ seal: sealOf(directory), endpoint, clock, random: Math.random, logger, credentials },
        name: config['node-name'],
      }),
    [DataDirectory, NodePeers, Clock, Logger, Config, Security],
  );
  container
    .bind(JoinTransport)
    .toResolvedValue(({ tls }: NodeSecurity) => new GrpcJoinTransport(tls.credentials), [Security]);
  container.bind(Gossip).toResolvedValue(nodeGossip, [Config, DataDirectory, Clock, Logger]);
  container.bind(CommitLog).toResolvedValue(() => new CommitLogGate());
  container.bind(Cluster).toResolvedValue(() => new ClusterGate());
  container
    .bind(NodeQuota)
    .toResolvedValue(
      (config: Config) => new CallQuota({ callsMax, callsPerClientMax: config['calls-per-client-max'] }),
      [Config],
    );
  container
    .bind(NodeMemory)
    .toResolvedValue(
      (clock: Clock, logger: Logger) =>
        new MemoryBudget(defaultMemoryBudget, clock, (readers) =>
          logger.warn({ readers }, 'ended calls whose readers take nothing, while others wait for memory'),
        ),
      [Clock, Logger],
    );
  container.bind<ListenerLimits>(ListenerLimits).toConstantValue({ grpc: {}, http: {} });
  container.bind(GrpcServer).toResolvedValue(
    (
      config: Config,
      commitLog: CommitLog,
      cluster: Cluster,
      clock: Clock,
      endpoint: PeerEndpoint,
      logger: Logger,
      { access, tls: { acceptors } }: NodeSecurity,
      { grpc }: ListenerLimits,
      quota: CallQuota,
      memory: MemoryBudget,
    ) =>
      new GrpcServer(
        {
          ...grpc,
          host: rpcHost(config),
          port: config['rpc-port'],
          batchBytesMax: config['batch-bytes-max'],
          access,
          quota,
          memory,
          ...(acceptors && { secure: acceptors.grpc.accept }),
        },
        commitLog,
        logger,
        { cluster, clock },
        [endpoint],
      ),
    [Config, CommitLog, Cluster, Clock, NodePeers, Logger, Security, ListenerLimits, NodeQuota, NodeMemory],
  );
  container.bind(HttpServer).toResolvedValue(
    (
      config: Config,
      commitLog: CommitLog,
      cluster: Cluster,
      clock: Clock,
      logger: Logger,
      { access, tls: { acceptors } }: NodeSecurity,
      { http }: ListenerLimits,
      quota: CallQuota,
      memory: MemoryBudget,
    ) =>
      new HttpServer(
        {
          ...http,
          host: config['http-addr'],
          port: config['http-port'],
          nodeName: config['node-name'],
          batchBytesMax: config['batch-bytes-max'],
          corsOrigins: config['cors-origins'],
          access,
          quota,
          memory,
          ...(acceptors && { secure: acceptors.http.accept }),
        },
        commitLog,
        logger,
        { cluster, clock },
      ),
    [Config, CommitLog, Cluster, Clock, Logger, Security, ListenerLimits, NodeQuota, NodeMemory],
  );
  container
    .bind(Node)
    .toResolvedValue(
      (
        config: Config,
        logger: Logger,
        directory: DataDirectory,
        grpc: GrpcServer,
        http: HttpServer,
        security: NodeSecurity,
      ) =>
        new Node(config, logger, directory, grpc, http, security, (listening, signal) =>
          takePart(container, listening, signal),
        ),
      [Config, Logger, DataDirectory, GrpcServer, HttpServer, Security],
    );
  return container;
}
