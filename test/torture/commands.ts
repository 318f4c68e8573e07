import { execFile, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** The command that starts golog. npm runs scripts at the top of the checkout. */
export const golog = [process.execPath, '--disable-warning=DEP0123', join(process.cwd(), 'bin/golog')];

const execute = promisify(execFile);

/** Runs a command to its end; rejects, with what it wrote, when it fails. */
export async function run(...[command, ...args]: readonly string[]): Promise<string> {
  const { stdout } = await execute(command, args, { maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}

/** Runs a command to its end; resolves with what it wrote, whatever its exit code. */
export function runWhatever(...command: readonly string[]): Promise<string> {
  return run(...command).catch((error: unknown) => (error as { stdout: string }).stdout);
}

/** Whether the machine has the command. */
export function has(command: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${command}`]).status === 0;
}
