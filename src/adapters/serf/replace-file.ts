import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Writes a temporary file, syncs it, renames it to `path` and syncs the directory. */
export async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  const beside = `${path}.compact`;
  // Whatever has that name, such as a symbolic link, is not written through.
  await rm(beside, { force: true });
  const file = await open(beside, 'wx', mode);
  try {
    await file.chmod(mode);
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(beside, path);
  const directory = await open(dirname(path), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

export const isMissing = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOENT';
