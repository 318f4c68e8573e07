import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './commands.js';
import type { TortureNode } from './node.js';
import type { Random } from './random.js';

const copiesMax = 3;

interface Copy {
  readonly path: string;
  readonly ageFrom: number;
}

/** The UUID of a data directory: a copy is one of the node as it is now only while both have the same. */
function identityOf(dataDir: string): string | undefined {
  const path = join(dataDir, 'node.id');
  return existsSync(path) ? /"nodeId": *"([^"]*)"/.exec(readFileSync(path, 'utf8'))?.[1] : undefined;
}

/**
 * `cp -a` of one directory in place of another, synced: a power cut before the node has started would take all of it.
 * Files that vanish meanwhile are not copied.
 */
export async function copyDirectory(from: string, to: string): Promise<void> {
  rmSync(to, { recursive: true, force: true });
  await run('cp', '-a', from, to).catch(() => undefined);
  await run('sync', '-f', to);
}

/** Copies of data directories, taken while the nodes ran. */
export class DirectoryCopies {
  readonly #copies = new Map<string, Copy[]>();
  #made = 0;

  constructor(private readonly folder: string) {
    mkdirSync(folder);
  }

  /** Copies the directories of these nodes, and drops the oldest copies. */
  async take(nodes: readonly TortureNode[]): Promise<void> {
    for (const { name, disk } of nodes) {
      this.#made += 1;
      const path = join(this.folder, `${name}-${this.#made}`);
      await copyDirectory(disk.dataDir, path);
      const copies = this.#copies.get(name) ?? [];
      copies.push({ path, ageFrom: performance.now() });
      // The first copy stays: the older, the falser.
      if (copies.length > copiesMax) rmSync(copies.splice(1, 1)[0].path, { recursive: true });
      this.#copies.set(name, copies);
    }
  }

  /** A copy of the node that is still the same member, and how old it is. */
  pick({ name, disk }: TortureNode, random: Random): { path: string; ageMs: number } | undefined {
    const identity = identityOf(disk.dataDir);
    const copies = (this.#copies.get(name) ?? []).filter(({ path }) => identityOf(path) === identity);
    if (identity === undefined || copies.length === 0) return undefined;
    const { path, ageFrom } = random.pick(copies);
    return { path, ageMs: performance.now() - ageFrom };
  }
}

/** The files of a data directory, by their paths in it. */
export function filesOf(dataDir: string): string[] {
  const entries = readdirSync(dataDir, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return paths.map((path) => path.slice(dataDir.length + 1)).sort();
}
