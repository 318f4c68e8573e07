import { spawn, type ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

/** A server process, started here and stopped by its pid. */
export interface Server {
  readonly pid: number;
  /** The fields of the JSON line in which it says that it serves. */
  readonly serving: Readonly<Record<string, unknown>>;
  /** From the start of the process to that line. */
  readonly startMs: number;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

const startTimeoutMs = 30_000;
const stopTimeoutMs = 15_000;

function fieldsOf(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

/** Starts a process that logs JSON lines to stderr, and waits for the one with the event `serving`. */
export async function startServer(command: Command): Promise<Server> {
  const startedAt = performance.now();
  const child = spawn(command.file, [...command.args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...command.env },
  });
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const tailLines: string[] = [];
  const serving = await new Promise<Record<string, unknown>>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      fail(`said nothing of serving within ${startTimeoutMs} ms`);
    }, startTimeoutMs);
    const fail = (why: string): void => {
      clearTimeout(timer);
      reject(new Error(`${command.file} ${command.args.join(' ')}: ${why}\n${tailLines.join('\n')}`));
    };
    child.once('error', (error) => fail(error.message));
    child.once('close', (code, signal) => fail(`exited with ${code ?? signal} before serving`));
    createInterface({ input: child.stderr }).on('line', (line) => {
      tailLines.push(line);
      if (tailLines.length > 20) tailLines.shift();
      const fields = fieldsOf(line);
      if (fields?.['event'] !== 'serving') return;
      clearTimeout(timer);
      resolve(fields);
    });
  });
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${command.file} has no pid`);
  return {
    pid,
    serving,
    startMs: performance.now() - startedAt,
    stop: async (signal = 'SIGTERM') => {
      const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
      child.kill(signal);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** Runs a process to its end; rejects with what it wrote to stderr unless it exits with 0. */
export async function run(command: Command, onStart?: (child: ChildProcess) => void): Promise<string> {
  const child = spawn(command.file, [...command.args], { stdio: ['ignore', 'pipe', 'pipe'] });
  onStart?.(child);
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`${command.file} exited with ${code}: ${errors || output}`);
  return output;
}

/** What the program says of its version; undefined when it is not installed. */
export async function versionOf(file: string): Promise<string | undefined> {
  try {
    return (await run({ file, args: ['--version'] })).trim().split('\n')[0];
  } catch {
    return undefined;
  }
}

/** What a figure's `skip` answers: the programs that are not installed, or undefined when all are. */
export async function missingPrograms(programs: readonly string[], packages: string): Promise<string | undefined> {
  const versions = await Promise.all(programs.map(versionOf));
  const missing = programs.filter((_, place) => versions[place] === undefined);
  return missing.length === 0 ? undefined : `${missing.join(' and ')} not installed (Debian: ${packages})`;
}

/** A port that was free a moment ago, for programs that cannot listen on 0. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

export interface ProcessUse {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly residentPeakBytes: number;
}

const ticksPerSecond = 100;

/** The numbers of a stat line of /proc, from the third field on, which is the first after the program's name. */
async function statOf(pid: number | 'self'): Promise<readonly number[]> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  return stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
}

/** Reads /proc: Linux only. */
export async function useOf(pid: number): Promise<ProcessUse> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const kibibytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
  const [userTicks = 0, systemTicks = 0] = (await statOf(pid)).slice(11);
  return {
    cpuSeconds: (userTicks + systemTicks) / ticksPerSecond,
    residentBytes: kibibytes('VmRSS') * 1024,
    residentPeakBytes: kibibytes('VmHWM') * 1024,
  };
}

/** CPU seconds of the machine so far, and of this process with the children that it has waited for. */
export async function machineUse(): Promise<{ readonly busySeconds: number; readonly ownSeconds: number }> {
  const [line = ''] = (await readFile('/proc/stat', 'utf8')).split('\n', 1);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line.split(/\s+/).slice(1).map(Number);
  const own = (await statOf('self')).slice(11, 15).reduce((sum, ticks) => sum + ticks, 0);
  return {
    busySeconds: (user + nice + system + irq + softirq + steal) / ticksPerSecond,
    ownSeconds: own / ticksPerSecond,
  };
}
