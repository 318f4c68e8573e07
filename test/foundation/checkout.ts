import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The top of the checkout. */
export const root = fileURLToPath(new URL('../..', import.meta.url));

/** What is installed and compiled, and what the commands of README write. */
const notOurs = new Set(
  ['node_modules', 'dist', '.git', 'coverage'].concat(
    ['golog-data', 'golog-dev', 'golog-replica', 'golog-n1'],
    ['certs', 'gossip.key'],
  ),
);

/** Paths, relative to the top and with forward slashes, of all files that a clone would have. */
export function checkoutFiles(directory = ''): string[] {
  return readdirSync(join(root, directory), { withFileTypes: true })
    .filter((entry) => !notOurs.has(entry.name))
    .flatMap((entry) => {
      const path = directory === '' ? entry.name : `${directory}/${entry.name}`;
      return entry.isDirectory() ? checkoutFiles(path) : entry.isFile() ? [path] : [];
    })
    .sort();
}

export const readText = (path: string): string => readFileSync(join(root, path), 'utf8');
