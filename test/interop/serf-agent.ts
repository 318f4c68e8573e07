import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { eventually } from '../cluster/deadline.js';
import { freePort } from '../cluster/free-ports.js';

const serf = ['/usr/bin/serf', '/usr/local/bin/serf'].find((path) => existsSync(path));

/** Why the tests with Serf cannot run here; undefined: they can. */
export const withoutSerf = serf === undefined ? 'serf is not installed' : undefined;

export interface AgentOptions {
  readonly name: string;
  /** HOST:PORT; a free one, where left out. */
  readonly bindAddr?: string;
  readonly tags?: Readonly<Record<string, string>>;
  /** HOST:PORT. */
  readonly join?: string;
  readonly encryptKey?: string;
  readonly keyringPath?: string;
}

export interface SeenMember {
  readonly name: string;
  readonly addr: string;
  readonly status: string;
  readonly tags: Readonly<Record<string, string>>;
}

const running = new Set<SerfAgent>();

/** Ends what a failed test left running. */
export async function endAgents(): Promise<void> {
  await Promise.all([...running].map((agent) => agent.kill()));
}

/** An agent of Debian's serf on the loopback. (In its `local` profile too many messages do not arrive.) */
export class SerfAgent {
  static async start(options: AgentOptions): Promise<SerfAgent> {
    const addr = options.bindAddr ?? `127.0.0.1:${await freePort()}`;
    const rpcAddr = `127.0.0.1:${await freePort()}`;
    const agent = new SerfAgent(options, addr, rpcAddr);
    await eventually(
      () => `the agent ${options.name}: ${agent.output}`,
      async () => {
        if (agent.#process.exitCode !== null) throw new Error(`the agent ${options.name} ended: ${agent.output}`);
        return (await agent.try('info'))?.ok;
      },
    );
    return agent;
  }

  output = '';
  readonly #process: ChildProcess;

  private constructor(
    options: AgentOptions,
    readonly addr: string,
    readonly rpcAddr: string,
  ) {
    const { name, tags = {}, join, encryptKey, keyringPath } = options;
    this.#process = spawn(
      serf ?? '',
      [
        'agent',
        `-node=${name}`,
        `-bind=${addr}`,
        `-rpc-addr=${rpcAddr}`,
        '-log-level=debug',
        ...Object.entries(tags).flatMap(([key, value]) => ['-tag', `${key}=${value}`]),
        ...(join === undefined ? [] : [`-join=${join}`]),
        ...(encryptKey === undefined ? [] : [`-encrypt=${encryptKey}`]),
        ...(keyringPath === undefined ? [] : [`-keyring-file=${keyringPath}`]),
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const collect = (text: Buffer): void => {
      this.output += text.toString();
    };
    this.#process.stdout?.on('data', collect);
    this.#process.stderr?.on('data', collect);
    running.add(this);
  }

  /** Runs `serf COMMAND` against the agent; its standard output. Rejects with what it wrote when it fails. */
  async run(command: string, ...args: readonly string[]): Promise<string> {
    const result = await this.try(command, ...args);
    if (!result.ok) throw new Error(`serf ${command} ${args.join(' ')}: ${result.output}`);
    return result.output;
  }

  async try(
    command: string,
    ...args: readonly string[]
  ): Promise<{ readonly ok: true | undefined; readonly output: string }> {
    const [main = '', ...words] = command.split(' ');
    const all = [main, ...words, `-rpc-addr=${this.rpcAddr}`, ...args];
    try {
      const { stdout, stderr } = await promisify(execFile)(serf ?? '', all, { timeout: 30_000 });
      return { ok: true, output: stdout + stderr };
    } catch (error) {
      const { stdout, stderr } = error as { stdout?: string; stderr?: string };
      return { ok: undefined, output: `${stdout ?? ''}${stderr ?? ''}` };
    }
  }

  async members(): Promise<readonly SeenMember[]> {
    const text = await this.run('members', '-format=json');
    return (JSON.parse(text) as { members: SeenMember[] }).members;
  }

  /** `name status`, by name. */
  async statuses(): Promise<string[]> {
    return (await this.members()).map(({ name, status }) => `${name} ${status}`).sort();
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    running.delete(this);
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGCONT');
    this.#process.kill(signal);
    await ended;
  }
}
