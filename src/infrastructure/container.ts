import 'reflect-metadata';
import { Container } from 'inversify';
import { systemClock } from '../adapters/clock/system-clock.js';
import { openDataDirectory } from '../adapters/file-system/data-directory.js';
import { GrpcServer, type GrpcServerOptions } from '../adapters/grpc/index.js';
import { HealthServer, HttpServer, type HttpServerOptions } from '../adapters/http/index.js';
import { defaultLimits } from '../adapters/listener/limits.js';
import { GrpcJoinTransport, PeerEndpoint } from '../adapters/peer/index.js';
import { CallQuota } from '../application/access/call-quota.js';
import { Cluster } from '../application/ports/cluster.js';
import { CommitLog } from '../application/ports/commit-log.js';
import { ClusterStartupGate, CommitLogStartupGate } from '../application/startup-gate.js';
import { Clock } from '../application/ports/clock.js';
import { DataDirectory } from '../application/ports/data-directory.js';
import { Gossip } from '../application/ports/gossip.js';
import { JoinTransport } from '../application/ports/join-transport.js';
import { defaultMemoryBudget, MemoryBudget } from '../application/access/memory-budget.js';
import { Logger } from '../application/ports/logger.js';
import { parseHostPort } from './addresses.js';
import { Config, rpcHost } from './config.js';
import { connectionLimits, descriptorLimit } from './connection-limits.js';
import { createLogger } from './logging.js';
import { Node, OnFatal } from './node.js';
import { nodeNameOf } from './node-name.js';
import { nodeGossip } from './node-gossip.js';
import { NodeSecurity } from './node-security.js';
import { startNode } from './start-node.js';
import { ListenerLimits, NodeMemory, NodeName, NodePeers, NodeQuota, Security } from './tokens.js';

interface ListenerLimits {
  readonly grpc: Partial<GrpcServerOptions>;
  readonly http: Partial<HttpServerOptions>;
}

/** The limit on calls in flight on both listeners together; each costs at most about 50 KB. */
const callsMax = 8_192;
const callsReserved = 1_024;

function healthServerOf(config: Config): HealthServer | undefined {
  const address = parseHostPort(config['health-addr'] ?? '');
  return address && new HealthServer(address);
}

/** The limits on connections, which are lower if the process may have few descriptors. */
function fittedLimits(logger: Logger): ListenerLimits {
  const descriptors = descriptorLimit();
  const limits = connectionLimits(descriptors);
  if (limits.connectionsMax < defaultLimits.connectionsMax)
    logger.warn(
      'connections_limited',
      { descriptors, ...limits },
      'each listener accepts fewer connections than usual, because the limit on open files (ulimit -n) is low',
    );
  return { grpc: limits, http: limits };
}

/**
 * Wires a node. Every binding is a factory over plain constructors, so a test can rebind one port
 * (`container.rebind(DataDirectory)…`) and keep the rest. Opening a log is asynchronous: use `getAsync`.
 */
export function createContainer(config: Config): Container {
  const container = new Container({ defaultScope: 'Singleton' });
  container.bind(Config).toConstantValue(config);
  container.bind(Logger).toConstantValue(createLogger(config['log-level'], config['node-name']));
  container.bind(Clock).toConstantValue(systemClock);
  container
    .bind<OnFatal>(OnFatal)
    .toResolvedValue(
      (logger: Logger) => (error: unknown) =>
        logger.error('appends_disabled', { error }, 'appends are disabled until this node is restarted'),
      [Logger],
    );

  container
    .bind(DataDirectory)
    .toResolvedValue(
      (config: Config, clock: Clock, onLost: OnFatal) =>
        openDataDirectory(config['data-dir'], { create: true, watch: { clock, onLost } }),
      [Config, Clock, OnFatal],
    );
  container.bind(NodeName).toResolvedValue(nodeNameOf, [Config, DataDirectory, Logger]);
  container
    .bind(Security)
    .toResolvedValue(
      (config: Config, logger: Logger, clock: Clock) => NodeSecurity.open(config, logger, clock),
      [Config, Logger, Clock],
    );
  container
    .bind(NodePeers)
    .toResolvedValue(
      (logger: Logger, { tls }: NodeSecurity) => new PeerEndpoint(logger, tls.trust),
      [Logger, Security],
    );
  container
    .bind(JoinTransport)
    .toResolvedValue(({ tls }: NodeSecurity) => new GrpcJoinTransport(tls.credentials), [Security]);
  container.bind(Gossip).toResolvedValue(nodeGossip, [Config, NodeName, DataDirectory, Clock, Logger]);
  container.bind(CommitLog).toResolvedValue(() => new CommitLogStartupGate());
  container.bind(Cluster).toResolvedValue(() => new ClusterStartupGate());
  container
    .bind(NodeQuota)
    .toResolvedValue(
      (config: Config) => new CallQuota({ callsMax, callsReserved, callsPerClientMax: config['calls-per-client-max'] }),
      [Config],
    );
  container
    .bind(NodeMemory)
    .toResolvedValue(
      (clock: Clock, logger: Logger) =>
        new MemoryBudget(defaultMemoryBudget, clock, (readers) =>
          logger.warn(
            'idle_readers_ended',
            { readers },
            'ended calls of idle clients, because other calls lack memory',
          ),
        ),
      [Clock, Logger],
    );
  container.bind<ListenerLimits>(ListenerLimits).toResolvedValue(fittedLimits, [Logger]);
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
      nodeName: string,
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
          nodeName,
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
    [Config, NodeName, CommitLog, Cluster, Clock, Logger, Security, ListenerLimits, NodeQuota, NodeMemory],
  );
  container.bind(Node).toResolvedValue(
    (
      config: Config,
      name: string,
      logger: Logger,
      directory: DataDirectory,
      grpc: GrpcServer,
      http: HttpServer,
      security: NodeSecurity,
      clock: Clock,
      onFatal: OnFatal,
    ) =>
      new Node(
        config,
        name,
        logger,
        directory,
        grpc,
        http,
        healthServerOf(config),
        security,
        clock,
        onFatal,
        async (listening, ...rest) => {
          const parts = {
            config,
            name,
            directory,
            // Created only once the listeners are bound, so that its configuration errors are reported after theirs.
            gossip: await container.getAsync<Gossip>(Gossip),
            gates: {
              commitLog: container.get<CommitLogStartupGate>(CommitLog),
              cluster: container.get<ClusterStartupGate>(Cluster),
            },
            endpoint: await container.getAsync<PeerEndpoint>(NodePeers),
            credentials: security.tls.credentials,
            joinTransport: await container.getAsync<JoinTransport>(JoinTransport),
            clock,
            logger,
            onFatal,
          };
          return startNode(parts, listening, ...rest);
        },
      ),
    [Config, NodeName, Logger, DataDirectory, GrpcServer, HttpServer, Security, Clock, OnFatal],
  );
  return container;
}
