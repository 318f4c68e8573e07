import { constants } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { tryLock } from 'fs-native-extensions';
import { isNoSpaceError } from '../../domain/log/directory.js';
import { descriptorReserve } from './descriptor-reserve.js';
import { errorCode } from './errors.js';

/** `isLocked` holds the lock for a moment, so one failed attempt is not final. */
const attemptsMax = 3;
const attemptGapMs = 50;
const pidBytesMax = 32;
const farPosition = 1 << 20;

/** A locked file. */
export interface Lock {
  /** Whether the file that is locked is still the one at its path: if not, another process may lock that one. */
  isInPlace(): Promise<boolean>;
  release(): Promise<void>;
}

export type LockResult =
  { readonly kind: 'held'; readonly lock: Lock } | { readonly kind: 'taken'; readonly pid: number | undefined };

/**
 * Locks a file by its open file description: one holder among all processes and within this one. The kernel releases
 * the lock with the descriptor, even if the holder is killed; the existence of the file means nothing. Writes the
 * holder's process id into the file, for people.
 */
export async function acquireLock(path: string): Promise<LockResult> {
  const handle = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
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
  // The file must remain: removing it would let two processes hold locks on two files with one name.
  return { kind: 'held', lock: lockOf(handle, path) };
}

/**
 * Locks a file that has contents of its own, and does not change it. Where locks are mandatory, the locked byte is in
 * nobody's way: it lies far past the end. Returns undefined if there is no file.
 */
export async function lockExisting(path: string): Promise<LockResult | undefined> {
  let handle: FileHandle;
  try {
    handle = await descriptorReserve.use(() => open(path, constants.O_RDWR | constants.O_NOFOLLOW));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    if (tryLock(handle.fd, farPosition, 1)) return { kind: 'held', lock: lockOf(handle, path) };
  } catch (error) {
    await handle.close();
    throw error;
  }
  await handle.close();
  return { kind: 'taken', pid: undefined };
}

function lockOf(handle: FileHandle, path: string): Lock {
  return {
    async isInPlace() {
      try {
        const [locked, found] = await Promise.all([handle.stat({ bigint: true }), stat(path, { bigint: true })]);
        return locked.ino === found.ino && locked.dev === found.dev;
      } catch (error) {
        if (errorCode(error) === 'ENOENT') return false;
        throw error;
      }
    },
    release: () => handle.close(),
  };
}

/**
 * Overwrites the old id, then truncates, which needs no new space on a full disk. If there is no space for a new file,
 * no id is written.
 */
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

/** Returns the process that holds the lock now, if any; changes nothing. */
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
