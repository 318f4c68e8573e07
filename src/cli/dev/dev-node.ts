import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ClusterClient, type ClusterStatus } from '../../client/index.js';
import { launcherPath } from '../../infrastructure/package-files.js';
import type { DevNodePlace } from './dev-directory.js';

const askAgainMs = 200;
const stopMs = 15_000;
const lastLines = 8;
/** What each node's file says, and an environment would overrule. */
const ofOneNode = ['GOLOG_CONFIG_FILE', 'GOLOG_DATA_DIR', 'GOLOG_NODE_NAME', 'GOLOG_BIND_ADDR', 'GOLOG_RPC_PORT'];
ofOneNode.push('GOLOG_HTTP_PORT', 'GOLOG_START_JOIN_ADDRS', 'GOLOG_BOOTSTRAP', 'GOLOG_BOOTSTRAP_EXPECT');

/** A node of a local cluster: its process, and what it says of itself. */
export class DevNode {
  /** As the node itself sees the cluster; undefined while it does not answer. */
  status: ClusterStatus | undefined;
  /** How its process ended; undefined while it runs. */
  end: string | undefined;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #logStart = 0;

  /** @param serveOptions further ones of `golog serve` */
  constructor(
    readonly place: DevNodePlace,
    private readonly serveOptions: readonly string[],
    private readonly onChange: () => void,
  ) {}

  /** The process that answers at the node's address; undefined where none does, or it was not found. */
  get pid(): number | undefined {
    if (this.end === undefined) return this.#child?.pid;
    return this.status === undefined ? undefined : this.#holderOfLock();
  }

  /** What starts it again from a shell. */
  get command(): readonly string[] {
    const { configFile, dataDir } = this.place;
    return ['golog', 'serve', '--config-file', configFile, '--data-dir', dataDir, ...this.serveOptions];
  }

  start(bootstrap: boolean): void {
    const log = openSync(this.place.logFile, 'a');
    this.#logStart = fstatSync(log).size;
    const [, ...args] = this.command;
    // A process group of its own: the terminal's Ctrl-C must not reach it, stopping is for `stop`.
    const child = spawn(launcherPath, bootstrap ? [...args, '--bootstrap'] : args, {
      stdio: ['ignore', log, log],
      detached: true,
      env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !ofOneNode.includes(name))),
    });
    closeSync(log);
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      const onEnd = (how: string): void => {
        this.end ??= how;
        this.status = undefined;
        resolve();
        this.onChange();
      };
      child.once('error', ({ message }) => onEnd(message));
      child.once('exit', (code, signal) => onEnd(signal === null ? `exited with ${code}` : `killed by ${signal}`));
    });
  }

  /** Keeps `status` as it is now, whoever started the process that answers, until the signal's abort. */
  async watch(signal: AbortSignal): Promise<void> {
    const client = new ClusterClient([this.place.rpcAddr]);
    try {
      while (!signal.aborted) {
        try {
          for await (const status of client.watch({ local: true, signal, onLost: () => this.#saw(undefined) }))
            this.#saw(status.answeredBy === this.place.name ? status : undefined);
        } catch {
          this.#saw(undefined);
        }
        await pause(askAgainMs, undefined, { signal }).catch(() => undefined);
      }
    } finally {
      client.close();
    }
  }

  /** Resolves when the process has ended: in order, or by force where that takes too long. */
  async stop(): Promise<void> {
    const timer = setTimeout(() => this.kill(), stopMs);
    this.#child?.kill('SIGTERM');
    await this.#ended;
    clearTimeout(timer);
  }

  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  /** The end of what it logged since its start. */
  lastLogLines(): readonly string[] {
    const text = readFileSync(this.place.logFile).subarray(this.#logStart).toString('utf8');
    return text.trimEnd().split('\n').slice(-lastLines);
  }

  #saw(status: ClusterStatus | undefined): void {
    if (status === undefined && this.status === undefined) return;
    this.status = status;
    this.onChange();
  }

  #holderOfLock(): number | undefined {
    try {
      return Number.parseInt(readFileSync(join(this.place.dataDir, 'LOCK'), 'utf8'), 10) || undefined;
    } catch {
      return undefined;
    }
  }
}
