import type { Directory, File } from './directory.js';
import { FileExistsError, FileNotFoundError, isNoSpaceError, UnreadableError } from './directory.js';
import { temporarySuffix } from './file-names.js';

/**
 * Creates or replaces a file atomically: after a crash, either the old state or the complete new file is there. Writes
 * under a temporary name, syncs, renames and syncs the directory. Returns the open file. When it rejects because the
 * disk is full (`isNoSpaceError`), nothing has changed.
 */
export function createDurably(directory: Directory, name: string, content: readonly Uint8Array[]): Promise<File> {
  return replaceDurably(directory, name, (file) => file.write(0, content));
}

async function replaceDurably(directory: Directory, name: string, fill: (file: File) => Promise<void>): Promise<File> {
  const temporaryName = `${name}${temporarySuffix}`;
  const file = await createOrReplace(directory, temporaryName);
  try {
    await fill(file);
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

const copyBytesMax = 1 << 20;

/** Creates or replaces a file by the first `length` bytes of another one, as `createDurably` does. */
export async function copyDurably(directory: Directory, name: string, from: File, length: number): Promise<File> {
  return replaceDurably(directory, name, async (file) => {
    for (let at = 0; at < length; at += copyBytesMax)
      await file.write(at, [await from.read(at, Math.min(copyBytesMax, length - at))]);
  });
}

/** Makes what others wrote to the directory durable, such as a copy: `cp` syncs nothing. */
export async function syncAll(directory: Directory): Promise<void> {
  for (const name of await directory.list()) {
    const file = await directory.open(name);
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  }
  await directory.sync();
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

/**
 * Returns all bytes of a file, or `undefined` when the file does not exist. A file that the disk cannot read is empty: so
 * it fails every check, as a damaged one does.
 */
export function readWhole(directory: Directory, name: string): Promise<Uint8Array | undefined> {
  return unlessUnreadable(() => readOnce(directory, name), new Uint8Array(0));
}

/** Returns all bytes of a file, or `undefined` when the file does not exist. Rejects with `UnreadableError`. */
export function readWholeOrThrow(directory: Directory, name: string): Promise<Uint8Array | undefined> {
  return tryTwice(() => readOnce(directory, name));
}

async function readOnce(directory: Directory, name: string): Promise<Uint8Array | undefined> {
  const file = await openIfThere(directory, name);
  if (!file) return undefined;
  try {
    return await file.read(0, await file.size());
  } finally {
    await file.close();
  }
}

/** Runs the task; resolves to false if the disk was full and nothing changed. */
export async function ifSpace(task: () => Promise<void>): Promise<boolean> {
  try {
    await task();
    return true;
  } catch (error) {
    if (isNoSpaceError(error)) return false;
    throw error;
  }
}

/** Runs a task that only reads; resolves to `otherwise` if the disk cannot read what it needs. */
export async function unlessUnreadable<T, const Otherwise>(
  read: () => Promise<T>,
  otherwise: Otherwise,
): Promise<T | Otherwise> {
  try {
    return await tryTwice(read);
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    return otherwise;
  }
}

/** Runs a task that only reads, and again if the disk cannot read: an error that does not last is not damage. */
export async function tryTwice<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    return read();
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
