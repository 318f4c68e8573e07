import { setTimeout as pause } from 'node:timers/promises';
import { type DevNodeSpec, shouldBootstrap } from './dev-directory.js';
import { DevEvents } from './dev-events.js';
import { DevNode } from './dev-node.js';
import { type DisplayMode, screenFor } from './dev-screen.js';
import { devView } from './dev-view.js';
import { ExitCode } from '../options/exit-codes.js';
import { ReaderLeftError } from '../options/standard-output.js';

export interface DevClusterOptions {
  readonly directory: string;
  readonly specs: readonly DevNodeSpec[];
  /** Options of `golog serve`, for all nodes. */
  readonly serveOptions: readonly string[];
  readonly mode: DisplayMode;
}

/** Changes within this time are shown together. */
const gatherMs = 50;

/**
 * Runs the nodes until the signal aborts or a node cannot start, then stops them gracefully. The nodes also end when
 * this process exits.
 */
export async function runCluster(options: DevClusterOptions, signal: AbortSignal): Promise<ExitCode> {
  const change = new Change();
  const nodes = options.specs.map((spec) => new DevNode(spec, options.serveOptions, () => change.happened()));
  const killAll = (): void => nodes.forEach((node) => node.kill());
  const hangUp = (): unknown => process.emit('SIGTERM');
  process.on('exit', killAll);
  process.on('SIGHUP', hangUp);
  const watching = new AbortController();
  const watches: Promise<void>[] = [];
  try {
    const bootstrap = shouldBootstrap(options.specs);
    nodes.forEach((node, i) => node.start(bootstrap && i === 0));
    watches.push(...nodes.map((node) => node.watch(watching.signal)));
    return await show(options, nodes, change, signal);
  } catch (error) {
    if (error instanceof ReaderLeftError) return ExitCode.ok;
    throw error;
  } finally {
    watching.abort();
    await Promise.all([...nodes.map((node) => node.stop()), ...watches]);
    process.off('exit', killAll);
    process.off('SIGHUP', hangUp);
  }
}

async function show(
  { mode, directory }: DevClusterOptions,
  nodes: readonly DevNode[],
  change: Change,
  signal: AbortSignal,
): Promise<ExitCode> {
  const screen = screenFor(mode, directory);
  const events = new DevEvents(nodes);
  while (!signal.aborted) {
    const changed = change.next(signal);
    const view = devView(nodes);
    await screen.show(view, events.since(view));
    const failed = nodes.find((node) => node.end !== undefined && !events.hasServed(node));
    if (failed !== undefined) {
      process.stderr.write(
        `golog dev: ${failed.spec.name} could not start, it ${failed.end}: ${failed.spec.logFile}\n`,
      );
      for (const line of failed.lastLogLines()) process.stderr.write(`  ${line}\n`);
      return ExitCode.failure;
    }
    await changed;
    await pause(gatherMs, undefined, { signal }).catch(() => undefined);
  }
  await screen.show(devView(nodes), ['stopping; run golog dev again to restart the same cluster']);
  return ExitCode.ok;
}

/** Wakes one waiter when any of several sources reports a change. */
class Change {
  #wake: (() => void) | undefined;

  happened(): void {
    this.#wake?.();
  }

  /** Resolves at the next change, or when the signal aborts. */
  next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake);
        this.#wake = undefined;
        resolve();
      };
      this.#wake = wake;
      signal.addEventListener('abort', wake, { once: true });
      if (signal.aborted) wake();
    });
  }
}
