import { describe, expect, it } from '@jest/globals';
import { systemClock } from '../adapters/clock/system-clock.js';
import { memoryDataDirectory } from '../adapters/memory/memory-data-directory.js';
import { Clock } from '../application/ports/clock.js';
import { DataDirectory } from '../application/ports/data-directory.js';
import type { Directory, File } from '../domain/log/directory.js';
import { resolveConfig } from './config.js';
import { createContainer } from './container.js';
import { Node } from './node.js';

/** Counts the resources that a node holds and the disk operations that it performs. */
class Ledger {
  operations = 0;
  openFiles = 0;
  timers = 0;
  directoryClosed = false;
  /** Operations after the directory was closed. */
  late: string[] = [];

  constructor(private readonly onOperation: (count: number) => void) {}

  readonly clock: Clock = {
    ...systemClock,
    after: (ms, callback) => {
      this.timers += 1;
      let counts = true;
      const done = (): void => {
        if (counts) this.timers -= 1;
        counts = false;
      };
      const cancel = systemClock.after(ms, () => {
        done();
        callback();
      });
      return () => {
        done();
        cancel();
      };
    },
  };

  dataDirectory(): DataDirectory {
    const inner = memoryDataDirectory();
    return {
      path: undefined,
      nodeId: inner.nodeId,
      logId: inner.logId,
      adoptLogId: (logId) => inner.adoptLogId(logId),
      setLogAside: (name) => inner.setLogAside(name),
      raft: this.#directory(inner.raft),
      log: this.#directory(inner.log),
      close: async () => {
        this.directoryClosed = true;
      },
    };
  }

  /** Runs an operation in the next turn of the event loop. */
  async #pass<Value>(name: string, act: () => Promise<Value>): Promise<Value> {
    this.operations += 1;
    if (this.directoryClosed) this.late.push(name);
    this.onOperation(this.operations);
    await new Promise((resolve) => setImmediate(resolve));
    return act();
  }

  #directory(inner: Directory): Directory {
    return {
      list: () => this.#pass('list', () => inner.list()),
      subdirectory: async (name) => this.#directory(await this.#pass('subdirectory', () => inner.subdirectory(name))),
      create: async (name) => this.#file(await this.#pass('create', () => inner.create(name))),
      open: async (name) => this.#file(await this.#pass('open', () => inner.open(name))),
      rename: (from, to) => this.#pass('rename', () => inner.rename(from, to)),
      remove: (name) => this.#pass('remove', () => inner.remove(name)),
      sync: () => this.#pass('sync', () => inner.sync()),
      freeBytes: () => this.#pass('freeBytes', () => inner.freeBytes()),
    };
  }

  #file(inner: File): File {
    this.openFiles += 1;
    let open = true;
    return {
      size: () => this.#pass('size', () => inner.size()),
      read: (position, length) => this.#pass('read', () => inner.read(position, length)),
      write: (position, chunks) => this.#pass('write', () => inner.write(position, chunks)),
      sync: () => this.#pass('sync of a file', () => inner.sync()),
      truncate: (length) => this.#pass('truncate', () => inner.truncate(length)),
      identity: () => this.#pass('identity', () => inner.identity()),
      close: async () => {
        if (open) this.openFiles -= 1;
        open = false;
        await inner.close();
      },
    };
  }
}

const listening = (): number => process.getActiveResourcesInfo().filter((name) => name === 'TCPServerWrap').length;

function freePorts(options: Record<string, unknown> = {}): Map<string, unknown> {
  return new Map<string, unknown>([
    ['rpc-port', 0],
    ['http-port', 0],
    ['bind-addr', '127.0.0.1:0'],
    ['log-level', 'silent'],
    ...Object.entries(options),
  ]);
}

/**
 * Starts a node and stops it when `stopWhen` or `onOperation` calls `stop`, or as soon as it exists if that is later: the
 * container reads its name from the disk. Resolves when both have ended.
 */
async function startAndStop(
  stopWhen: (stop: () => void, ledger: Ledger) => void,
  onOperation: (count: number, stop: () => void) => void = () => undefined,
): Promise<{ ledger: Ledger; failure: unknown }> {
  let stopNode = (): Promise<unknown> | undefined => undefined;
  let mustStop = false;
  let stopped: Promise<unknown> | undefined;
  const stop = (): void => {
    mustStop = true;
    stopped ??= stopNode();
  };
  const ledger = new Ledger((count) => onOperation(count, stop));
  const container = createContainer(resolveConfig(freePorts(), {}, undefined));
  container.rebind<DataDirectory>(DataDirectory).toConstantValue(ledger.dataDirectory());
  container.rebind<Clock>(Clock).toConstantValue(ledger.clock);
  const node: Node = await container.getAsync<Node>(Node);
  stopNode = () => node.stop();
  const started = node.start().then(
    () => undefined,
    (error: unknown) => error,
  );
  if (mustStop) stop();
  stopWhen(stop, ledger);
  const failure = await started;
  stop();
  await stopped;
  return { ledger, failure };
}

async function expectNothingLeft(ledger: Ledger): Promise<void> {
  // A handle is still listed for a turn or two after it was closed.
  for (let turn = 0; turn < 10 && listening() > 0; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(ledger).toMatchObject({ openFiles: 0, timers: 0, directoryClosed: true, late: [] });
  expect(listening()).toBe(0);
}

describe('a node that is stopped while it starts', () => {
  it('does not start, and leaves nothing open', async () => {
    const { ledger, failure } = await startAndStop((stop) => stop());
    expect(failure).toMatchObject({ name: 'AbortError' });
    await expectNothingLeft(ledger);
  });

  it('leaves nothing open at any disk operation', async () => {
    const whole = await startAndStop(() => undefined);
    expect(whole.failure).toBeUndefined();
    await expectNothingLeft(whole.ledger);
    let refused = 0;
    for (let at = 1; at <= whole.ledger.operations; at++) {
      const { ledger, failure } = await startAndStop(
        () => undefined,
        (count, stop) => {
          if (count === at) stop();
        },
      );
      if (failure !== undefined) {
        expect(failure).toMatchObject({ name: 'AbortError' });
        refused += 1;
      }
      await expectNothingLeft(ledger);
    }
    expect(refused).toBeGreaterThan(10);
  });

  it('never starts after a stop', async () => {
    const container = createContainer(resolveConfig(freePorts(), {}, undefined));
    container.rebind<DataDirectory>(DataDirectory).toConstantValue(memoryDataDirectory());
    const node = await container.getAsync<Node>(Node);
    await node.stop();
    await expect(node.start()).rejects.toMatchObject({ name: 'AbortError' });
    expect(listening()).toBe(0);
  });
});

describe('a node that cannot start', () => {
  it('leaves nothing open', async () => {
    const ledger = new Ledger(() => undefined);
    const directory = ledger.dataDirectory();
    const container = createContainer(resolveConfig(freePorts(), {}, undefined));
    container.rebind<Clock>(Clock).toConstantValue(ledger.clock);
    container.rebind<DataDirectory>(DataDirectory).toConstantValue({
      ...directory,
      log: { ...directory.log, sync: () => Promise.reject(new Error('EIO')) },
    });
    const node = await container.getAsync<Node>(Node);
    await expect(node.start()).rejects.toThrow('EIO');
    await expectNothingLeft(ledger);
  });
});
