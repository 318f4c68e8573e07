import type { Directory, File } from './directory.js';
import { FileExistsError, FileNotFoundError, isNoSpaceError } from './directory.js';
import { temporarySuffix } from './file-names.js';

/**
 * Creates or replaces a file atomically: after a crash, either the old state or the complete new file is there. Writes
 * under a temporary name, syncs, renames and syncs the directory. Returns the open file. When it rejects because the
 * disk is full (`isNoSpaceError`), nothing has changed.
 */
export async function createDurably(directory: Directory, name: string, content: readonly Uint8Array[]): Promise<File> {
  const temporaryName = `${name}${temporarySuffix}`;
  const file = await createOrReplace(directory, temporaryName);
  try {
    await file.write(0, content);
    await file.sync();
  } catch (error) {
    await file.close().catch(() => undefined);
    if (isNoSpaceError(error)) await directory.remove(temporaryName);
    throw error;
  }
  try {
    await directory.rename(temporaryName, name);
    await directory.sync();
  } catch (error) {
    await file.close().catch(() => undefined);
    throw error;
  }
  return file;
}

/** Creates an empty file, replacing one that a crash left under this name. */
export async function createOrReplace(directory: Directory, name: string): Promise<File> {
  try {
    return await directory.create(name);
  } catch (error) {
    if (!(error instanceof FileExistsError)) throw error;
    await directory.remove(name);
    return directory.create(name);
  }
}

export async function writeDurably(directory: Directory, name: string, content: readonly Uint8Array[]): Promise<void> {
  await (await createDurably(directory, name, content)).close();
}

/** Returns all bytes of a file, or `undefined` when the file does not exist. */
export async function readWhole(directory: Directory, name: string): Promise<Uint8Array | undefined> {
  const file = await openIfThere(directory, name);
  if (!file) return undefined;
  try {
    return await file.read(0, await file.size());
  } finally {
    await file.close();
  }
}

export async function openIfThere(directory: Directory, name: string): Promise<File | undefined> {
  try {
    return await directory.open(name);
  } catch (error) {
    if (error instanceof FileNotFoundError) return undefined;
    throw error;
  }
}

/** Removes a file and returns whether it existed. Not durable until the directory is synced. */
export async function removeIfThere(directory: Directory, name: string): Promise<boolean> {
  try {
    await directory.remove(name);
    return true;
  } catch (error) {
    if (error instanceof FileNotFoundError) return false;
    throw error;
  }
}
