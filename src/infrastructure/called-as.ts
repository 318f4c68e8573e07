import { realpathSync } from 'node:fs';
import { delimiter, join, relative } from 'node:path';

/** How a process was started, as far as it matters for calling its command again. */
interface Call {
  /** The path of the command, such as `/opt/golog/bin/golog`. */
  readonly path: string;
  readonly directory: string;
  /** The variable `PATH`. */
  readonly searchPath: string;
}

const thisCall = (): Call => ({
  path: process.argv[1] ?? '',
  directory: process.cwd(),
  searchPath: process.env['PATH'] ?? '',
});

/**
 * The name by which a shell in the same directory finds this command again, for commands that are printed to be pasted:
 * `golog` if that is in `PATH`, or else its path.
 */
export function calledAs({ path, directory, searchPath }: Call = thisCall()): string {
  const found = searchPath
    .split(delimiter)
    .find((folder) => folder !== '' && realPath(join(folder, 'golog')) !== undefined);
  if (path === '' || (found !== undefined && realPath(join(found, 'golog')) === realPath(path))) return 'golog';
  const near = relative(directory, path);
  if (near.startsWith('..')) return path;
  return near.includes('/') ? near : `./${near}`;
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}
