import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { checkoutFiles, root } from '../foundation/checkout.js';

/** A fenced block of a Markdown text. */
export interface Block {
  readonly language: string;
  /** The line of the text that its first line is. */
  readonly line: number;
  readonly text: string;
}

export function blocksOf(markdown: string): Block[] {
  return [...markdown.matchAll(/^```(\w*)\n([^]*?)^```$/gm)].map(({ index, 1: language, 2: text }) => ({
    language,
    line: markdown.slice(0, index).split('\n').length + 1,
    text,
  }));
}

/** The commands of a block: its lines, where a backslash at the end continues a line. */
export const commandsOf = ({ text }: Block): string[] => text.trimEnd().split(/(?<!\\)\n/);

const namespaces = ['--net', '--pid', '--fork', '--kill-child', '--mount-proc'];

/** Why no machine can be made here; undefined: it can. */
export function noMachineBecause(): string | undefined {
  if (process.getuid?.() !== 0) return 'not root';
  const made = spawnSync('unshare', [...namespaces, 'ip', 'link', 'set', 'lo', 'up'], { encoding: 'utf8' });
  if (made.error !== undefined) return 'no unshare';
  return made.status === 0 ? undefined : `unshare: ${made.stderr.trim()}`;
}

/** The variables of a user's shell, without those of golog, of jest and of npm. */
function environment(): NodeJS.ProcessEnv {
  const ours = /^(GOLOG_|JEST_|NODE_|npm_|TEST_)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.test(name)));
}

/**
 * A reader of README: a shell in a copy of the checkout, and terminals beside it, on a machine of its own. Its network
 * is a loopback device, where every port is free, and its processes end when the process of the test does.
 */
export class Reader {
  readonly #machine: ChildProcess;
  readonly #shell: ChildProcess;
  #printed = '';

  private constructor(
    machine: ChildProcess,
    readonly directory: string,
  ) {
    this.#machine = machine;
    this.#shell = this.#spawn('exec bash --norc 2>&1');
    this.#shell.stdout!.setEncoding('utf8').on('data', (text: string) => (this.#printed += text));
  }

  /** @param directory becomes the checkout */
  static async sitDown(directory: string, addresses: readonly string[]): Promise<Reader> {
    for (const path of checkoutFiles()) cpSync(join(root, path), join(directory, path), { preserveTimestamps: true });
    for (const made of ['node_modules', 'dist']) symlinkSync(join(root, made), join(directory, made));
    const network = ['ip link set lo up', ...addresses.map((address) => `ip addr add ${address}/32 dev lo`)];
    // The first process of the machine ends, and with it all the others, when the test closes its input.
    const init = [...network, 'echo up', 'exec cat'].join(' && ');
    const machine = spawn('unshare', [...namespaces, 'sh', '-c', init], { stdio: ['pipe', 'pipe', 'inherit'] });
    await once(machine.stdout, 'data');
    return new Reader(machine, directory);
  }

  /** Runs a command in the shell, which keeps its state, and waits for its end. */
  async run(command: string): Promise<{ readonly code: number; readonly output: string }> {
    this.#printed = '';
    this.#shell.stdin!.write(`{ ${command}\n} </dev/null; printf '\\nended with %d\\n' $?\n`);
    for (;;) {
      const ended = /^([^]*)\nended with (\d+)\n$/.exec(this.#printed);
      if (ended !== null) return { code: Number(ended[2]), output: ended[1] };
      await once(this.#shell.stdout!, 'data');
    }
  }

  /** Starts a command that runs until Ctrl-C, in a terminal of its own. */
  start(command: string): Terminal {
    return new Terminal(this, command, this.#spawn(`exec 2>&1 && echo $$ && exec ${command}`));
  }

  async leave(): Promise<void> {
    this.#machine.stdin!.end();
    if (this.#machine.exitCode === null) await once(this.#machine, 'close');
  }

  #spawn(script: string): ChildProcess {
    const namespace = `/proc/${this.#machine.pid}/ns`;
    const own = [`--net=${namespace}/net`, `--mount=${namespace}/mnt`, `--pid=${namespace}/pid_for_children`];
    return spawn('nsenter', [...own, 'bash', '-c', `cd '${this.directory}' && ${script}`], {
      env: environment(),
      stdio: ['pipe', 'pipe', 'inherit'],
    });
  }
}

/** A terminal in which a command runs until Ctrl-C. */
export class Terminal {
  #printed = '';
  readonly #closed: Promise<unknown>;

  constructor(
    private readonly reader: Reader,
    readonly command: string,
    private readonly child: ChildProcess,
  ) {
    child.stdout!.setEncoding('utf8').on('data', (text: string) => (this.#printed += text));
    this.#closed = once(child, 'close');
  }

  /** What the command has printed; before it, there is a line with its process id. */
  get output(): string {
    return this.#printed.slice(this.#printed.indexOf('\n') + 1);
  }

  /** Resolves once the output matches, and rejects if the command ends before. */
  async until(wanted: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = wanted.exec(this.output);
      if (found !== null) return found;
      const ended = this.#closed.then(() => 'ended');
      if ((await Promise.race([once(this.child.stdout!, 'data'), ended])) === 'ended' && !wanted.test(this.output))
        throw new Error(`${this.command}\nended with ${this.child.exitCode} before ${wanted}:\n${this.#printed}`);
    }
  }

  /** Presses Ctrl-C, and resolves with the exit code. */
  async interrupt(): Promise<number | null> {
    await this.reader.run(`kill -INT ${this.#printed.split('\n', 1)[0]}`);
    await this.#closed;
    return this.child.exitCode;
  }
}
