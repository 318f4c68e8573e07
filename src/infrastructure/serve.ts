import type { Container } from 'inversify';
import { reportLoopDelays } from '../adapters/clock/loop-watch.js';
import { descriptorReserve } from '../adapters/file-system/descriptor-reserve.js';
import { operationsInFlight } from '../adapters/file-system/operations-in-flight.js';
import { DataDirectoryError } from '../adapters/file-system/data-directory-error.js';
import { UnknownFeatureLevelError } from '../application/configuration/cluster-settings.js';
import {
  CorruptConfigurationError,
  InterruptedRecoveryError,
} from '../application/configuration/configuration-file.js';
import { OutdatedConfigurationError } from '../application/node/logged-configurations.js';
import { JoinRefusedError } from '../application/join/join-cluster.js';
import { Clock } from '../application/ports/clock.js';
import { DataDirectory } from '../application/ports/data-directory.js';
import { Logger } from '../application/ports/logger.js';
import { WrongRoleError } from '../application/replica/replica-role.js';
import { LogThrottle } from '../application/waiting/log-throttle.js';
import { UnreadableError } from '../domain/log/directory.js';
import { ForeignLogError, MissingLogError, UnsupportedFormatError } from '../domain/log/errors.js';
import { type Config, ConfigError } from './config.js';
import { descriptorLimit, spareDescriptors } from './connection-limits.js';
import { createContainer } from './container.js';
import { flushLog } from './logging.js';
import { ListenError, Node, OnFatal } from './node.js';
import type { NodeSecurity } from './node-security.js';
import { Security } from './tokens.js';

/** A file operation that takes longer hangs, for all that can be told when the process must end. */
const hungMs = 1_000;

/** A period in which one delay of the event loop in a thousand is longer is logged. */
const loopDelayLimits = { periodMs: 60_000, p999MsMax: 100 };

const stopSignals = ['SIGTERM', 'SIGINT'] as const;

/**
 * Runs a node until SIGTERM or SIGINT; a second signal ends the process at once. SIGHUP reloads certificates and policy,
 * and does nothing in a node without either. If the disk hangs, the process kills itself after the stop, since it could
 * not exit.
 *
 * @returns the exit code of the process: 0 after a graceful stop, 1 when the node could not start
 * @throws ConfigError when a configured file cannot be used
 */
export async function serve(config: Config, container = createContainer(config)): Promise<number> {
  const logger = container.get<Logger>(Logger);
  const exitAtOnce: OnFatal = (error) => {
    logger.error('fatal_error', { error }, 'fatal error; exiting without further acknowledgements');
    endProcess();
  };
  container.rebind<OnFatal>(OnFatal).toConstantValue(exitAtOnce);
  process.on('uncaughtException', exitAtOnce);
  process.on('unhandledRejection', exitAtOnce);

  const exhausted = new LogThrottle(container.get<Clock>(Clock));
  descriptorReserve.onExhausted = () => {
    if (exhausted.isDue())
      logger.error(
        'descriptors_exhausted',
        { limit: descriptorLimit() },
        'no descriptor is left to open a file: raise the limit on open files (ulimit -n)',
      );
  };
  descriptorReserve.keep(spareDescriptors);
  reportLoopDelays(loopDelayLimits, ({ longestMs, p999Ms }) => {
    const delays = { longestMs: Math.round(longestMs), p999Ms: Math.round(p999Ms) };
    logger.warn('event_loop_delayed', delays, 'the event loop was held up: calls and heartbeats were late');
  });

  const stopRequested = new Promise<void>((resolve) => {
    let signals = 0;
    for (const signal of stopSignals) {
      process.on(signal, () => {
        signals += 1;
        if (signals > 1) endProcess();
        resolve();
      });
    }
  });
  const security = container.getAsync<NodeSecurity>(Security);
  process.on(
    'SIGHUP',
    () =>
      void security.then(
        (opened) => opened.reload(),
        () => undefined,
      ),
  );
  try {
    // The files of its configuration are checked before the data directory is opened.
    await security;
    const node = await makeNode(container);
    // A node may wait for its cluster indefinitely, and must still stop on request.
    await Promise.race([node.start(), stopRequested]);
    await stopRequested;
    if (!(await node.stop())) kill();
    return 0;
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    logger.error('start_failed', isOperatorError(error) ? { reason: error.message } : { error }, 'could not start');
    if (operationsInFlight.oldestMs > hungMs) kill();
    return 1;
  }
}

/**
 * Makes the node. If anything fails the data
 * directory is closed again: an open one watches its lock files, which would keep the process running.
 */
async function makeNode(container: Container): Promise<Node> {
  try {
    return await container.getAsync<Node>(Node);
  } catch (error) {
    await container.getAsync<DataDirectory>(DataDirectory).then(
      (directory) => directory.close(),
      () => undefined,
    );
    throw error;
  }
}

/** Ends the process at once, with code 1 if it can exit. */
function endProcess(): void {
  if (operationsInFlight.oldestMs > hungMs) kill();
  process.exit(1);
}

/** Ends the process without a code: an exit would wait for the threads that the disk holds. */
function kill(): void {
  flushLog();
  process.kill(process.pid, 'SIGKILL');
}

/** Whether an operator can fix the cause: the message then says what to do, and a stack trace would hide it. */
function isOperatorError(error: unknown): error is Error {
  return (
    error instanceof DataDirectoryError ||
    error instanceof UnreadableError ||
    error instanceof ForeignLogError ||
    error instanceof UnsupportedFormatError ||
    error instanceof MissingLogError ||
    error instanceof CorruptConfigurationError ||
    error instanceof OutdatedConfigurationError ||
    error instanceof InterruptedRecoveryError ||
    error instanceof UnknownFeatureLevelError ||
    error instanceof JoinRefusedError ||
    error instanceof WrongRoleError ||
    error instanceof ListenError
  );
}
