import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { makeDirectory } from '../adapters/file-system/make-directory.js';
import { NodeDirectory } from '../adapters/file-system/node-directory.js';
import { errorCode } from '../adapters/file-system/errors.js';
import { writeDurably } from '../domain/log/durable-file.js';
import { ConfigError } from './config-error.js';
import { utf8Text } from './utf8-text.js';

/** How client commands reach one cluster. It holds the paths of files with keys, and no keys. */
export interface Context {
  /** HOST:PORT of gRPC, of servers of one cluster. */
  readonly addr: readonly string[];
  /** Absolute paths. */
  readonly tlsCaFile?: string;
  readonly tlsCertFile?: string;
  readonly tlsKeyFile?: string;
}

export interface Contexts {
  /** The name of the context for commands that name none; undefined: they use their defaults. */
  readonly current: string | undefined;
  readonly contexts: ReadonlyMap<string, Context>;
}

const pathKeys = ['tlsCaFile', 'tlsCertFile', 'tlsKeyFile'] as const;
const contextKeys: readonly string[] = ['addr', ...pathKeys];

/** Returns the path of the file, which need not exist: in `$XDG_CONFIG_HOME/golog`, or in `~/.config/golog`. */
export function contextsPath(environment: NodeJS.ProcessEnv = process.env): string {
  const { XDG_CONFIG_HOME: configured = '' } = environment;
  // The specification of the variable says that a relative path is ignored.
  return join(isAbsolute(configured) ? configured : join(homedir(), '.config'), 'golog', 'contexts.json');
}

/**
 * Reads the contexts; there are none where there is no file.
 *
 * @throws ConfigError naming the file when it cannot be read or is malformed
 */
export function readContexts(path = contextsPath()): Contexts {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    if (errorCode(cause) === 'ENOENT') return { current: undefined, contexts: new Map() };
    throw new ConfigError(`cannot read ${path} (${errorCode(cause)}): expected a file that you may read`, { cause });
  }
  const text = utf8Text(bytes, path);
  try {
    return parsed(JSON.parse(text));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(`${path} is not a list of contexts (${reason}): correct it, or remove it to begin again`, {
      cause,
    });
  }
}

/** Replaces the file atomically; only its owner may read it. Creates its folder. */
export async function writeContexts({ current, contexts }: Contexts, path = contextsPath()): Promise<void> {
  const folder = dirname(path);
  const text = `${JSON.stringify({ current, contexts: Object.fromEntries(contexts) }, undefined, 2)}\n`;
  try {
    await makeDirectory(folder, { mode: 0o700 });
    await writeDurably(await NodeDirectory.open(folder), basename(path), [Buffer.from(text)]);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(`cannot write ${path}: ${reason}`, { cause });
  }
}

function parsed(value: unknown): Contexts {
  const { current, contexts = {} } = fields(value, 'the file', ['current', 'contexts']);
  const named = Object.entries(fields(contexts, '"contexts"')).map(
    ([name, each]) => [name, context(each, name)] as const,
  );
  const known = new Map(named);
  if (current !== undefined && (typeof current !== 'string' || !known.has(current)))
    throw new ConfigError(`"current" is ${JSON.stringify(current)}, which is not among the contexts`);
  return { current, contexts: known };
}

function context(value: unknown, name: string): Context {
  const what = `context ${JSON.stringify(name)}`;
  const { addr, ...paths } = fields(value, what, contextKeys);
  if (!Array.isArray(addr) || addr.length === 0 || !addr.every((each) => typeof each === 'string'))
    throw new ConfigError(`${what} lacks "addr": expected a list of HOST:PORT`);
  const found: [string, string][] = [];
  for (const key of pathKeys) {
    const path = paths[key];
    if (path === undefined) continue;
    if (typeof path !== 'string') throw new ConfigError(`"${key}" of ${what} is not a path`);
    found.push([key, path]);
  }
  return { addr, ...Object.fromEntries(found) };
}

function fields(value: unknown, what: string, known?: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ConfigError(`${what} is not an object`);
  const unknown = Object.keys(value).find((key) => known?.includes(key) === false);
  if (unknown !== undefined) throw new ConfigError(`${what} has the unknown key ${JSON.stringify(unknown)}`);
  return { ...value };
}
