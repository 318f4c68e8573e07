import { HttpServer, type HttpServerOptions } from '../../../src/adapters/http/index.js';
import { alwaysIn } from '../../../src/application/ports/readiness.js';
import { FakeCommitLog } from './fake-commit-log.js';
import { RecordingLogger } from '../../logging/recording-logger.js';

export interface Harness {
  readonly server: HttpServer;
  readonly commitLog: FakeCommitLog;
  readonly logger: RecordingLogger;
  readonly port: number;
  readonly baseUrl: string;
}

const open: HttpServer[] = [];

/** A server on a free port over a fake log; `closeAll` in `afterEach` closes it. */
export async function serve(options: Partial<HttpServerOptions> = {}): Promise<Harness> {
  const commitLog = new FakeCommitLog();
  const logger = new RecordingLogger();
  const server = new HttpServer({ host: '127.0.0.1', port: 0, ...options }, commitLog, logger);
  open.push(server);
  const { port } = await server.listen();
  server.setReadiness(alwaysIn({ state: 'ready' }));
  return { server, commitLog, logger, port, baseUrl: `http://127.0.0.1:${port}` };
}

export async function closeAll(): Promise<void> {
  await Promise.all(open.splice(0).map((server) => server.close(0)));
}

/** Resolves once the condition holds; fails after `deadlineMs`, naming what it waited for. */
export async function eventually(what: string, condition: () => boolean, deadlineMs = 5_000): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
