import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ClusterClient, type ClusterStatus } from '../../client/index.js';
import { calledAs } from '../../infrastructure/called-as.js';
import { launcherPath } from '../../infrastructure/package-files.js';
import { quoted } from '../options/given-options.js';
import type { DevNodeSpec } from './dev-directory.js';

const askAgainMs = 200;
const stopMs = 15_000;
const lastLines = 8;
/** Variables that would override the configuration file of each node. */
const nodeVariables = ['GOLOG_CONFIG_FILE', 'GOLOG_DATA_DIR', 'GOLOG_NODE_NAME', 'GOLOG_BIND_ADDR', 'GOLOG_RPC_PORT'];
nodeVariables.push('GOLOG_HTTP_PORT', 'GOLOG_START_JOIN_ADDRS', 'GOLOG_BOOTSTRAP', 'GOLOG_BOOTSTRAP_EXPECT');

/** A node of a local cluster: its process, and the status that it reports. */
export class DevNode {
  /** The cluster as this node sees it; undefined while it does not answer. */
  status: ClusterStatus | undefined;
  /** How its process ended; undefined while it runs. */
  end: string | undefined;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #logStart = 0;

  /** @param serveOptions additional options of `golog serve` */
  constructor(
    readonly spec: DevNodeSpec,
    private readonly serveOptions: readonly string[],
    private readonly onChange: () => void,
  ) {}

  /** The process that answers at the address of the node; undefined when none answers or it is unknown. */
  get pid(): number | undefined {
    if (this.end === undefined) return this.#child?.pid;
    return this.status === undefined ? undefined : this.#holderOfLock();
  }

  /** The command line that restarts it from a shell. */
  get command(): string {
    return [calledAs(), ...this.#args].map(quoted).join(' ');
  }

  get #args(): readonly string[] {
    const { configFile, dataDir } = this.spec;
    return ['serve', '--config-file', configFile, '--data-dir', dataDir, ...this.serveOptions];
  }

  start(bootstrap: boolean): void {
    const log = openSync(this.spec.logFile, 'a');
    this.#logStart = fstatSync(log).size;
    // Its own process group, so that Ctrl-C in the terminal does not reach it: `stop` stops it.
    const child = spawn(launcherPath, bootstrap ? [...this.#args, '--bootstrap'] : this.#args, {
      stdio: ['ignore', log, log],
      detached: true,
      env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !nodeVariables.includes(name))),
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

  /** Keeps `status` up to date until the signal aborts, even when another process answers for the node. */
  async watch(signal: AbortSignal): Promise<void> {
    const client = new ClusterClient([this.spec.rpcAddr]);
    try {
      while (!signal.aborted) {
        try {
          for await (const status of client.watch({ local: true, signal, onLost: () => this.#update(undefined) }))
            this.#update(status.answeredBy === this.spec.name ? status : undefined);
        } catch {
          this.#update(undefined);
        }
        await pause(askAgainMs, undefined, { signal }).catch(() => undefined);
      }
    } finally {
      client.close();
    }
  }

  /** Stops the process gracefully, or kills it when that takes too long. Resolves when it has ended. */
  async stop(): Promise<void> {
    const timer = setTimeout(() => this.kill(), stopMs);
    this.#child?.kill('SIGTERM');
    await this.#ended;
    clearTimeout(timer);
  }

  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  /** The last lines that it logged since its start. */
  lastLogLines(): readonly string[] {
    const text = readFileSync(this.spec.logFile).subarray(this.#logStart).toString('utf8');
    return text.trimEnd().split('\n').slice(-lastLines);
  }

  #update(status: ClusterStatus | undefined): void {
    if (status === undefined && this.status === undefined) return;
    this.status = status;
    this.onChange();
  }

  #holderOfLock(): number | undefined {
    try {
      return Number.parseInt(readFileSync(join(this.spec.dataDir, 'LOCK'), 'utf8'), 10) || undefined;
    } catch {
      return undefined;
    }
  }
}
