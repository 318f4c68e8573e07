import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { tryLock } from 'fs-native-extensions';
import { isNoSpaceError } from '../../domain/log/directory.js';
import { errorCode } from './errors.js';

/** A look at the lock by `isLocked` holds it for a moment: one refusal is not the last word. */
const attemptsMax = 3;
const attemptGapMs = 50;
const pidBytesMax = 32;

export type LockResult =
  | { readonly kind: 'held'; readonly release: () => Promise<void> }
  | { readonly kind: 'taken'; readonly pid: number | undefined };

/**
 * Locks a file by its open description: one holder among all processes and within this one. The kernel drops the lock
 * with the descriptor, so also when the holder is killed; a file that is there says nothing. The holder's process id
 * is written into the file, for people.
 */
export async function acquireLock(path: string): Promise<LockResult> {
  const handle = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    for (let attempt = 1; !tryLock(handle.fd); attempt++) {
      if (attempt === attemptsMax) {
        const pid = await readPid(handle);
        await handle.close();
        return { kind: 'taken', pid };
      }
      await wait(attemptGapMs);
    }
    await notePid(handle);
  } catch (error) {
    await handle.close();
    throw error;
  }
  // The file stays: to remove it would let two processes hold locks on two files of one name.
  return { kind: 'held', release: () => handle.close() };
}

/** Over what is there, and then cut: a full disk has space for that, and where it has none the note is left out. */
async function notePid(handle: FileHandle): Promise<void> {
  const text = `${process.pid}\n`;
  try {
    await handle.write(text, 0);
  } catch (error) {
    if (!isNoSpaceError(error)) throw error;
    await handle.truncate(0);
    return;
  }
  await handle.truncate(text.length);
}

/** The process that holds the lock now, if one does; changes nothing. */
export async function lockHolder(path: string): Promise<{ readonly pid: number | undefined } | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return tryLock(handle.fd, { shared: true }) ? undefined : { pid: await readPid(handle) };
  } finally {
    await handle.close();
  }
}

async function readPid(handle: FileHandle): Promise<number | undefined> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(pidBytesMax), 0, pidBytesMax, 0);
  const pid = Number.parseInt(buffer.toString('latin1', 0, bytesRead), 10);
  return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
}
