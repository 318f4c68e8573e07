import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { eventually } from '../cluster/deadline.js';
import { root } from '../foundation/checkout.js';

export interface GossipProcessOptions {
  readonly name: string;
  readonly bindAddr: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly snapshotPath?: string;
  /** HOST:PORT. */
  readonly join?: string;
}

const running = new Set<GossipProcess>();

/** Ends what a failed test left running. */
export async function endGossipProcesses(): Promise<void> {
  await Promise.all([...running].map((one) => one.kill()));
}

/** A node of gossip in a process of its own. */
export class GossipProcess {
  static async start(options: GossipProcessOptions): Promise<GossipProcess> {
    const one = new GossipProcess(options);
    await eventually(
      () => `the process of ${options.name}: ${one.#errors}`,
      () => one.addr,
    );
    return one;
  }

  addr: string | undefined;
  /** `name status`, by name; as last told. */
  statuses: readonly string[] = [];
  /** All that was ever told. */
  readonly history: string[] = [];
  readonly #process: ChildProcess;
  #errors = '';

  private constructor(options: GossipProcessOptions) {
    const script = join(import.meta.dirname, 'gossip-child.js');
    const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => name !== 'NODE_OPTIONS'));
    this.#process = spawn(process.execPath, [script, join(root, 'dist'), JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: environment,
    });
    running.add(this);
    this.#process.stderr?.on('data', (text: Buffer) => {
      this.#errors += text.toString();
    });
    if (this.#process.stdout)
      createInterface({ input: this.#process.stdout }).on('line', (line) => {
        const told = JSON.parse(line) as { addr?: string; members?: string[] };
        this.addr = told.addr ?? this.addr;
        this.statuses = told.members ?? this.statuses;
        this.history.push(...(told.members ?? []));
      });
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  async kill(): Promise<void> {
    running.delete(this);
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }
}
