import { GrpcServer } from '../../../src/adapters/grpc/index.js';
import type { GrpcServerOptions } from '../../../src/adapters/grpc/index.js';
import { FakeCommitLog } from './fake-commit-log.js';
import { GrpcClient } from './grpc-client.js';
import { RecordingLogger } from '../../logging/recording-logger.js';

export interface Fixture {
  readonly log: FakeCommitLog;
  readonly logger: RecordingLogger;
  readonly server: GrpcServer;
  readonly port: number;
  readonly client: GrpcClient;
  readonly close: () => Promise<void>;
}

/** A listener on a free port of the loopback, over a fake commit log, with a client. */
export async function start(options: Partial<GrpcServerOptions> = {}): Promise<Fixture> {
  const log = new FakeCommitLog();
  const logger = new RecordingLogger();
  const server = new GrpcServer({ host: '127.0.0.1', port: 0, ...options }, log, logger);
  const { port } = await server.listen();
  const client = new GrpcClient(port);
  const close = async (): Promise<void> => {
    client.close();
    await server.close(0);
  };
  return { log, logger, server, port, client, close };
}

export async function until(condition: () => boolean): Promise<void> {
  const giveUpAt = Date.now() + 5_000;
  while (!condition()) {
    if (Date.now() > giveUpAt) throw new Error(`not within 5 s: ${condition.toString()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
