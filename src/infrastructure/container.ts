import 'reflect-metadata';
import { Container } from 'inversify';
import { crc32c } from '../adapters/checksum/crc32c.js';
import { systemClock } from '../adapters/clock/system-clock.js';
import { openDataDirectory } from '../adapters/file-system/data-directory.js';
import { GrpcServer } from '../adapters/grpc/grpc-server.js';
import { HttpServer } from '../adapters/http/http-server.js';
import { CommitLog } from '../application/commit-log.js';
import { CommitLogService } from '../application/commit-log-service.js';
import { DiskReserve } from '../application/disk-reserve.js';
import { Clock } from '../application/ports/clock.js';
import { Consensus } from '../application/ports/consensus.js';
import { DataDirectory } from '../application/ports/data-directory.js';
import { Logger } from '../application/ports/logger.js';
import { SingleVoter } from '../application/single-voter.js';
import { HardStateFile } from '../domain/log/hard-state.js';
import { Log } from '../domain/log/log.js';
import { Config, rpcHost } from './config.js';
import { createLogger } from './logging.js';
import { Node, OnFatal } from './node.js';

// Tokens of what has no port: the node's own log, hard state and disk reserve.
export const NodeLog = Symbol('Log');
export const NodeHardState = Symbol('HardStateFile');
export const NodeDiskReserve = Symbol('DiskReserve');

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
  container.bind(Consensus).toResolvedValue(
    (
      log: Log,
      hardState: HardStateFile,
      directory: DataDirectory,
      clock: Clock,
      diskReserve: DiskReserve,
      config: Config,
      onFatal: OnFatal,
    ) =>
      SingleVoter.start({
        log,
        hardState,
        seal: { crc32c, logId: directory.logId },
        clock,
        diskReserve,
        retention: {
          ...(config['retention-bytes'] !== undefined && { bytesMax: config['retention-bytes'] }),
          ...(config['retention-age'] !== undefined && { ageMsMax: config['retention-age'] }),
        },
        self: { id: config['node-name'], rpcAddr: `${rpcHost(config)}:${config['rpc-port']}`, isLeader: true },
        onFatal,
      }),
    [NodeLog, NodeHardState, DataDirectory, Clock, NodeDiskReserve, Config, OnFatal],
  );
  container
    .bind(CommitLog)
    .toResolvedValue((consensus: Consensus, log: Log) => new CommitLogService(consensus, log), [Consensus, NodeLog]);

  container
    .bind(GrpcServer)
    .toResolvedValue(
      (config: Config, commitLog: CommitLog, logger: Logger) =>
        new GrpcServer(
          { host: rpcHost(config), port: config['rpc-port'], batchBytesMax: config['batch-bytes-max'] },
          commitLog,
          logger,
        ),
      [Config, CommitLog, Logger],
    );
  container.bind(HttpServer).toResolvedValue(
    (config: Config, commitLog: CommitLog, logger: Logger) =>
      new HttpServer(
        {
          host: config['http-addr'],
          port: config['http-port'],
          nodeName: config['node-name'],
          batchBytesMax: config['batch-bytes-max'],
          corsOrigins: config['cors-origins'],
        },
        commitLog,
        logger,
      ),
    [Config, CommitLog, Logger],
  );
  container
    .bind(Node)
    .toResolvedValue(
      (
        config: Config,
        logger: Logger,
        directory: DataDirectory,
        hardState: HardStateFile,
        log: Log,
        consensus: Consensus,
        grpc: GrpcServer,
        http: HttpServer,
      ) => new Node(config, logger, directory, hardState, log, consensus, grpc, http),
      [Config, Logger, DataDirectory, NodeHardState, NodeLog, Consensus, GrpcServer, HttpServer],
    );
  return container;
}
