import { mkdir, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { errorCode } from './errors.js';

export interface MakeDirectoryOptions {
  readonly mode?: number;
  /** Called with the parent of each directory on the way, once that directory is there. */
  readonly onMade?: (parent: string) => Promise<void>;
}

/**
 * Creates a directory and its missing parents; does nothing where a file or a directory is there already. (`mkdir` with
 * `recursive` loops forever on Node 20 below /proc, which exists and answers ENOENT.)
 */
export async function makeDirectory(path: string, { mode, onMade }: MakeDirectoryOptions = {}): Promise<void> {
  const target = resolve(path);
  let parent = await existingAncestor(target);
  for (const name of relative(parent, target).split(sep)) {
    const child = join(parent, name);
    try {
      await mkdir(child, { mode });
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error;
    }
    await onMade?.(parent);
    parent = child;
  }
}

/** Returns the nearest parent that exists. */
export async function existingAncestor(path: string): Promise<string> {
  const parent = dirname(path);
  if (parent === path) return path;
  try {
    await stat(parent);
    return parent;
  } catch {
    return existingAncestor(parent);
  }
}
