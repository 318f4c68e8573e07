import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startServer, type Command, type Server } from './processes.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const peerFile = fileURLToPath(new URL('../peers/grpc-peer.js', import.meta.url));
const copyFile = fileURLToPath(new URL('../peers/grpc-copy.js', import.meta.url));
const gologProgram = join(root, 'bin', 'golog');

export interface BenchOptions {
  /** Where data directories go: the disk that is measured. */
  readonly directory: string;
  /** Where the servers write CPU profiles when they stop. */
  readonly cpuProfDirectory?: string;
  readonly notice: (text: string) => void;
}

export interface Golog extends Server {
  readonly rpcAddr: string;
  readonly httpAddr: string;
  readonly gossipAddr: string;
  readonly dataDirectory: string;
}

/** Starts what a figure needs, and leaves nothing behind: `close` stops every process and removes every directory. */
export class Bench {
  readonly copyProgram = copyFile;
  private readonly servers = new Set<Server>();
  private readonly directories = new Set<string>();
  private readonly fixtures = new Map<string, Promise<unknown>>();

  constructor(private readonly options: BenchOptions) {}

  notice(text: string): void {
    this.options.notice(text);
  }

  async temporaryDirectory(): Promise<string> {
    const path = await mkdtemp(join(this.options.directory, 'golog-bench-'));
    this.directories.add(path);
    return path;
  }

  async remove(directory: string): Promise<void> {
    await rm(directory, { recursive: true, force: true });
    this.directories.delete(directory);
  }

  /**
   * A node on free ports; on a directory of an earlier one, it reopens that log. `args` are further ones of
   * `golog serve`.
   */
  async startGolog(dataDirectory?: string, args: readonly string[] = []): Promise<Golog> {
    const directory = dataDirectory ?? (await this.temporaryDirectory());
    const ports = ['--rpc-port', '0', '--http-port', '0', '--bind-addr', '127.0.0.1:0'];
    const server = await this.start({
      file: gologProgram,
      args: ['serve', ...ports, '--data-dir', directory, ...args],
      env: await this.environment(),
    });
    return {
      ...server,
      rpcAddr: String(server.serving['rpcAddr']),
      httpAddr: String(server.serving['httpAddr']),
      gossipAddr: String(server.serving['gossipAddr']),
      dataDirectory: directory,
    };
  }

  /** For profiles, a `node` that comes first in the path and adds the flags: NODE_OPTIONS does not take them. */
  private async environment(): Promise<NodeJS.ProcessEnv> {
    const profiles = this.options.cpuProfDirectory;
    if (profiles === undefined) return {};
    const directory = await this.temporaryDirectory();
    const script = `#!/bin/sh\nexec '${process.execPath}' --cpu-prof --cpu-prof-dir='${profiles}' "$@"\n`;
    await writeFile(join(directory, 'node'), script, { mode: 0o755 });
    return { PATH: `${directory}:${process.env['PATH'] ?? ''}` };
  }

  /** Runs a command of golog to its end; rejects unless it succeeds. */
  async runGolog(args: readonly string[]): Promise<void> {
    await promisify(execFile)(gologProgram, [...args]);
  }

  /** The grpc-js server that a ratio is taken of; `args` as in `bench/peers/grpc-peer.ts`. */
  async startPeer(args: readonly string[] = []): Promise<Server & { readonly rpcAddr: string }> {
    const server = await this.start({ file: process.execPath, args: [peerFile, ...args] });
    return { ...server, rpcAddr: String(server.serving['rpcAddr']) };
  }

  /** Serves the files for a copy; `bench/peers/grpc-copy.ts` says how to fetch it. */
  async startCopy(files: readonly string[]): Promise<Server & { readonly rpcAddr: string }> {
    const server = await this.start({ file: process.execPath, args: [this.copyProgram, 'serve', ...files] });
    return { ...server, rpcAddr: String(server.serving['rpcAddr']) };
  }

  async start(command: Command): Promise<Server> {
    return this.track(await startServer(command));
  }

  /** Has the bench stop a server that was started by other means. */
  track(server: Server): Server {
    const tracked: Server = {
      ...server,
      stop: async (signal) => {
        await server.stop(signal);
        this.servers.delete(tracked);
      },
    };
    this.servers.add(tracked);
    return tracked;
  }

  /** What several figures share is made once, by the first that asks. */
  fixture<T>(name: string, make: () => Promise<T>): Promise<T> {
    const made = this.fixtures.get(name) ?? make();
    this.fixtures.set(name, made);
    return made as Promise<T>;
  }

  async close(): Promise<void> {
    await Promise.all([...this.servers].map((server) => server.stop()));
    for (const directory of this.directories) await this.remove(directory);
  }

  /** `close` for a process that must end now. */
  closeNow(): void {
    for (const { pid } of this.servers) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        continue;
      }
    }
    for (const directory of this.directories) rmSync(directory, { recursive: true, force: true });
  }
}
