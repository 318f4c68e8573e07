import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../foundation/checkout.js';
import { loggedLines } from '../logging/logged-lines.js';

/** The golog of this checkout. */
const ownLauncher = join(root, 'bin/golog');

/** How a process is started, where not as usual. */
export interface Launch {
  /** A command that becomes golog, such as `ip netns exec NAME`. */
  readonly through?: readonly string[];
  /** The `bin/golog` of another version (default: that of this checkout). */
  readonly launcher?: string;
  /** Variables to set. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Compiles what is not compiled yet; several test files may do so at once. */
export function compile(): void {
  const built = spawnSync(join(root, 'scripts/prepare.sh'), ['build'], { encoding: 'utf8' });
  if (built.status !== 0) throw new Error(`cannot compile: ${built.stderr}${built.stdout}`);
}

function environment(): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('GOLOG_') && name !== 'NODE_OPTIONS',
  );
  // The contexts of whoever runs the tests are not used.
  return { ...Object.fromEntries(inherited), XDG_CONFIG_HOME: '/absent' };
}

const running = new Set<GologProcess>();

/** A folder for one test file, or one test; `remove` ends whatever a failed test left running in it. */
export class Scratch {
  readonly path = realpathSync(mkdtempSync(join(tmpdir(), 'golog-e2e-')));
  file(name: string): string {
    return join(this.path, name);
  }
  /** A new folder. */
  folder(name: string): string {
    mkdirSync(this.file(name));
    return this.file(name);
  }
  remove(): void {
    for (const leftover of running) leftover.kill('SIGKILL');
    rmSync(this.path, { recursive: true, force: true });
  }
}

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A `golog` process whose output is collected. */
export class GologProcess {
  stdout = '';
  stderr = '';
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;

  /** @param stdoutFile gets the standard output instead */
  constructor(
    args: readonly string[],
    stdoutFile?: string,
    { through = [], launcher = ownLauncher, env = {} }: Launch = {},
  ) {
    const output = stdoutFile === undefined ? 'pipe' : openSync(stdoutFile, 'w');
    // The launcher passes this option to node as well: it knows that warning.
    const [command, ...rest] = [...through, process.execPath, '--disable-warning=DEP0123', launcher, ...args];
    this.child = spawn(command, rest, { stdio: ['pipe', output, 'pipe'], env: { ...environment(), ...env } });
    if (typeof output === 'number') closeSync(output);
    this.child.stdin!.on('error', () => undefined);
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    running.add(this);
    this.finished = once(this.child, 'close').then(() => {
      running.delete(this);
      return { code: this.child.exitCode, stdout: this.stdout, stderr: this.stderr };
    });
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Resolves once `found` gives something for what was printed so far. */
  async until<T>(what: string, found: (process: this) => T | undefined): Promise<T> {
    for (;;) {
      const result = found(this);
      if (result !== undefined) return result;
      const streams = [this.child.stdout, this.child.stderr].filter((stream) => stream !== null);
      const waiting = new AbortController();
      const more = streams.map((stream) => once(stream, 'data', waiting).catch(() => undefined));
      const ended = this.finished.then(() => 'ended' as const);
      const first = await Promise.race([...more, ended]);
      waiting.abort();
      if (first !== 'ended') continue;
      const last = found(this);
      if (last !== undefined) return last;
      throw new Error(`golog ended (${this.child.exitCode}) before ${what}:\n${this.stderr}`);
    }
  }
}

const runTimeoutMs = 50_000;

/** Runs a command to its end; one that does not end is killed, and has the exit code null. */
export async function runGolog(
  args: readonly string[],
  input: string | Uint8Array = '',
  stdoutFile?: string,
  launch?: Launch,
): Promise<Finished> {
  const run = new GologProcess(args, stdoutFile, launch);
  const timeout = setTimeout(() => run.kill('SIGKILL'), runTimeoutMs);
  run.child.stdin!.end(input);
  try {
    return await run.finished;
  } finally {
    clearTimeout(timeout);
  }
}

interface ServingLine extends Readonly<Record<string, unknown>> {
  readonly rpcAddr: string;
  readonly httpAddr: string;
  readonly gossipAddr: string;
}

function servingLine(stderr: string): ServingLine | undefined {
  return loggedLines(stderr, 'serving')[0] as ServingLine | undefined;
}

/** `golog serve` on free ports, or on those of an earlier start. */
export class ServerProcess extends GologProcess {
  rpcAddr = '';
  httpAddr = '';
  gossipAddr = '';

  static start(dataDir: string, again?: { rpcAddr: string }, args: readonly string[] = []): Promise<ServerProcess> {
    return ServerProcess.spawn(dataDir, again?.rpcAddr.split(':').at(-1) ?? '0', args).served();
  }

  /** One that does not serve yet, and may not until others run as well. */
  static spawn(dataDir: string, rpcPort: string, args: readonly string[], launch?: Launch): ServerProcess {
    const own = ['--data-dir', dataDir, '--rpc-port', rpcPort, '--http-port', '0', '--disk-reserve-bytes', '1MiB'];
    return new ServerProcess(['serve', '--bind-addr', '127.0.0.1:0', ...own, ...args], undefined, launch);
  }

  async served(): Promise<this> {
    const { rpcAddr, httpAddr, gossipAddr } = await this.until('it served', ({ stderr }) => servingLine(stderr));
    this.rpcAddr = rpcAddr;
    this.httpAddr = httpAddr;
    this.gossipAddr = gossipAddr;
    return this;
  }

  /** SIGTERM, and the exit code. */
  async stop(): Promise<number | null> {
    this.kill('SIGTERM');
    return (await this.finished).code;
  }

  async killNine(): Promise<void> {
    this.kill('SIGKILL');
    await this.finished;
  }
}
