import { setTimeout as pause } from 'node:timers/promises';
import { type DevNodePlace, isToBootstrap } from './dev-directory.js';
import { DevEvents } from './dev-events.js';
import { DevNode } from './dev-node.js';
import { type Look, screenFor } from './dev-screen.js';
import { devView } from './dev-view.js';
import { ExitCode } from '../options/exit-codes.js';
import { ReaderLeftError } from '../options/standard-output.js';

export interface DevClusterOptions {
  readonly directory: string;
  readonly places: readonly DevNodePlace[];
  /** Options of `golog serve`, for all nodes. */
  readonly serveOptions: readonly string[];
  readonly look: Look;
}

/** Changes that come together are shown together. */
const gatherMs = 50;

/**
 * Runs the nodes until the signal's abort, then stops them in order; or until one cannot start. Whatever ends this
 * process ends them as well.
 */
export async function runCluster(options: DevClusterOptions, signal: AbortSignal): Promise<ExitCode> {
  const change = new Change();
  const nodes = options.places.map((place) => new DevNode(place, options.serveOptions, () => change.happened()));
  const killAll = (): void => nodes.forEach((node) => node.kill());
  const hangUp = (): unknown => process.emit('SIGTERM');
  process.on('exit', killAll);
  process.on('SIGHUP', hangUp);
  const watching = new AbortController();
  const watches: Promise<void>[] = [];
  try {
    const bootstrap = isToBootstrap(options.places);
    nodes.forEach((node, place) => node.start(bootstrap && place === 0));
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
  { look, directory }: DevClusterOptions,
  nodes: readonly DevNode[],
  change: Change,
  signal: AbortSignal,
): Promise<ExitCode> {
  const screen = screenFor(look, nodes, directory);
  const events = new DevEvents(nodes);
  while (!signal.aborted) {
    const changed = change.next(signal);
    const view = devView(nodes);
    await screen.show(view, events.since(view));
    const failed = nodes.find((node) => node.end !== undefined && !events.hasServed(node));
    if (failed !== undefined) {
      process.stderr.write(
        `golog dev: ${failed.place.name} could not start, it ${failed.end}: ${failed.place.logFile}\n`,
      );
      for (const line of failed.lastLogLines()) process.stderr.write(`  ${line}\n`);
      return ExitCode.failure;
    }
    await changed;
    await pause(gatherMs, undefined, { signal }).catch(() => undefined);
  }
  await screen.show(devView(nodes), ['stopping; golog dev goes on with the same cluster']);
  return ExitCode.ok;
}

/** Told that something happened, by any number of sources, to one that waits. */
class Change {
  #wake: (() => void) | undefined;

  happened(): void {
    this.#wake?.();
  }

  /** Resolves at the next change, or at the signal's abort. */
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
