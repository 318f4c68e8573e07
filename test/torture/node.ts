import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { addressOf } from '../cluster/network-namespaces.js';
import { golog } from './commands.js';
import type { Disk } from './disk.js';
import type { FaultySystem } from './faulty-system.js';
import type { Endpoint } from './http-caller.js';

const restartAfterMs = 1_000;
const stopTimeoutMs = 10_000;
const lastWordMax = 250;

/** What a node needs to be started; asked for at each start. */
export interface Launch {
  /** A command that becomes the node, at its host. */
  readonly through: readonly string[];
  readonly args: readonly string[];
}

/** A log line of a node, as far as it is read here. */
interface LogLine {
  readonly event?: string;
  readonly term?: number;
  readonly msg?: string;
  readonly reason?: string;
  readonly error?: { readonly message?: string };
}

/** What a node said last before it ended. */
function lastWord(line: string): string {
  try {
    const { msg, reason, error } = JSON.parse(line) as LogLine;
    return reason ?? error?.message ?? msg ?? line;
  } catch {
    return line;
  }
}

export interface NodeListener {
  /** The node became the leader. */
  led(name: string, term: number): void;
  /** The process ended, and nobody had asked it to. */
  ended(name: string, how: string): void;
}

/** Nothing of what this process was started with configures a node. */
function environment(): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env);
  return Object.fromEntries(inherited.filter(([name]) => !name.startsWith('GOLOG_') && name !== 'NODE_OPTIONS'));
}

/** A node over all its processes. One that ends by itself is started again, as a supervisor would. */
export class TortureNode {
  /** Where it is, or will be at its next start. */
  host = 0;
  /** A fault has it for itself. */
  isClaimed = false;
  /** How often it has ended by itself since it was started by `start`. */
  endedByItself = 0;
  #isWanted = false;
  #isDisposed = false;
  #process: ChildProcess | undefined;
  #lastLine = '';
  readonly #log: WriteStream;

  constructor(
    readonly name: string,
    /** Another disk after two were swapped. */
    public disk: Disk,
    readonly system: FaultySystem | undefined,
    logFile: string,
    private readonly launch: (node: TortureNode) => Launch,
    private readonly listener: NodeListener,
  ) {
    this.#log = createWriteStream(logFile, { flags: 'a' });
  }

  get endpoint(): Endpoint {
    return { name: this.name, host: addressOf(this.host) };
  }

  get isRunning(): boolean {
    return this.#process !== undefined;
  }

  start(): void {
    // A fault that still lasts when a run is cut short starts nothing again.
    if (this.#isDisposed) return;
    this.#isWanted = true;
    this.endedByItself = 0;
    if (this.#process === undefined) this.#spawn();
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal);
  }

  /** Ends it for good, until it is started again. */
  async kill(): Promise<void> {
    this.#isWanted = false;
    await this.#end('SIGKILL');
  }

  /** SIGTERM, and SIGKILL if that does not end it in time. */
  async stop(): Promise<void> {
    this.#isWanted = false;
    const timeout = setTimeout(() => this.signal('SIGKILL'), stopTimeoutMs);
    await this.#end('SIGTERM');
    clearTimeout(timeout);
  }

  async dispose(): Promise<void> {
    this.#isDisposed = true;
    await this.kill();
    this.#log.end();
    this.system?.close();
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    const exit = once(child, 'exit');
    child.kill(signal);
    await exit;
  }

  #spawn(): void {
    const { through, args } = this.launch(this);
    const [command, ...rest] = [...through, ...(this.system?.through ?? []), ...golog, 'serve', ...args];
    const child = spawn(command, rest, { stdio: ['ignore', 'ignore', 'pipe'], env: environment() });
    this.#process = child;
    child.once('exit', (code, signal) => this.#onExit(signal ?? `exit code ${code}`));
    createInterface({ input: child.stderr }).on('line', (line) => this.#onLine(line));
  }

  #onLine(line: string): void {
    this.#log.write(`${line}\n`);
    this.#lastLine = line;
    if (!line.includes('"leader_elected"')) return;
    const { event, term } = JSON.parse(line) as LogLine;
    if (event === 'leader_elected' && term !== undefined) this.listener.led(this.name, term);
  }

  #onExit(how: string): void {
    this.#process = undefined;
    if (!this.#isWanted) return;
    this.endedByItself += 1;
    this.listener.ended(this.name, `${how}: ${lastWord(this.#lastLine).slice(0, lastWordMax)}`);
    void delay(restartAfterMs).then(() => {
      if (this.#isWanted && this.#process === undefined) this.#spawn();
    });
  }
}
