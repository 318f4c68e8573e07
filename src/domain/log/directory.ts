/**
 * A directory of files: the port that the log stores its data through. `NodeDirectory` is the real one,
 * `MemoryDirectory` is for tests and embedding, and `FaultyDirectory` drops, tears and fails the operations that a test
 * selects. One contract suite runs against all three.
 *
 * Names are plain file names that `assertFileName` allows. A failed operation rejects with the cause; the caller
 * decides whether that is fatal. A failed write, sync or rename of the log or the hard state is never retried: after a
 * failed sync, the kernel may have dropped the data and still report success for the next sync.
 */
export interface Directory {
  /** Names of the files (not of subdirectories), sorted by code unit. */
  list(): Promise<string[]>;
  /**
   * Opens the subdirectory of that name and creates it when it is missing. Syncs this directory in both cases, so that
   * the directory entry is durable on return even if a process that created it died before its sync.
   */
  subdirectory(name: string): Promise<Directory>;
  /**
   * Creates an empty file for reading and writing; rejects with `FileExistsError` when the name is in use. The name is
   * durable only after `sync()` of this directory.
   */
  create(name: string): Promise<File>;
  /**
   * Opens an existing file for reading and writing. Rejects with `FileNotFoundError` when it does not exist, and with
   * `UnreadableError` when the disk cannot read what describes it.
   */
  open(name: string): Promise<File>;
  /**
   * Renames a file within this directory, replacing any file named `to`. Open handles follow their file. Durable only
   * after `sync()`; atomic: after a crash, `to` is either the old file or the new one.
   */
  rename(from: string, to: string): Promise<void>;
  /** Deletes a file; open handles stay readable and writable until closed. Durable only after `sync()`. */
  remove(name: string): Promise<void>;
  /** Makes creations, renames and removals in this directory durable, but not the contents of the files. */
  sync(): Promise<void>;
  /** Returns the number of bytes that an unprivileged process may still write to this directory's file system. */
  freeBytes(): Promise<number>;
  /** Whether opening a file waits now because the process has no descriptor left; undefined where files need none. */
  readonly lacksDescriptors?: boolean;
}

/**
 * An open file with positional reads and writes, any number of them concurrently. Overlapping operations that run
 * concurrently have no defined order; an operation that starts after another one resolved sees its effect. After
 * `close()` is called, every operation except `close` rejects with `FileClosedError`.
 */
export interface File {
  /** Returns the file's current length in bytes. */
  size(): Promise<number>;
  /**
   * Reads up to `length` bytes: fewer only at the end of the file, none at or past it. The caller owns the result,
   * which keeps no other memory alive. Rejects with `UnreadableError` when the disk cannot read some of them.
   */
  read(position: number, length: number): Promise<Uint8Array>;
  /**
   * Writes all chunks back to back at `position`, looping over short writes; a gap before `position` reads as zeros.
   * The caller must not change the chunks until the promise settles. Not durable before `sync()`; when it rejects, any
   * part may have been written.
   */
  write(position: number, chunks: readonly Uint8Array[]): Promise<void>;
  /**
   * Calls fdatasync: when this resolves, everything written and the length set before the call are durable. When it
   * rejects, the state of that data is unknown, and a second call proves nothing.
   */
  sync(): Promise<void>;
  /** Truncates the file to `length` bytes, or extends it to that length with zeros. Durable only after `sync()`. */
  truncate(length: number): Promise<void>;
  /** Returns what distinguishes this file from a copy of it. */
  identity(): Promise<FileIdentity>;
  /** Waits for the operations in flight, then closes the file. Does not sync. Idempotent. */
  close(): Promise<void>;
}

/** What a file has that a copy of it does not have: its inode number and, where the file system keeps it, its birth time. */
export interface FileIdentity {
  readonly inode: string;
  /** Nanoseconds since 1970; undefined if the file system does not keep it, or changes it with the file. */
  readonly born?: string;
}

export class FileNotFoundError extends Error {
  override readonly name = 'FileNotFoundError';
  constructor(
    readonly fileName: string,
    options?: ErrorOptions,
  ) {
    super(`file ${JSON.stringify(fileName)} does not exist`, options);
  }
}

export class FileExistsError extends Error {
  override readonly name = 'FileExistsError';
  constructor(
    readonly fileName: string,
    options?: ErrorOptions,
  ) {
    super(`file ${JSON.stringify(fileName)} already exists`, options);
  }
}

/**
 * The disk says that it cannot read the file, or some bytes of it. What it cannot read is as damaged as bytes that fail
 * their checksum. The message is for the operator of a node that cannot start for that.
 */
export class UnreadableError extends Error {
  override readonly name = 'UnreadableError';
  /** @param path that of the file, or its name in a directory without a path */
  constructor(path: string, options?: ErrorOptions) {
    super(
      `the disk cannot read ${path}: check the disk. To rejoin the cluster as a new member, move the data directory ` +
        'aside and start with an empty one',
      options,
    );
  }
}

/** Thrown when a file is used after it was closed: a bug in the caller. */
export class FileClosedError extends Error {
  override readonly name = 'FileClosedError';
  constructor(readonly fileName: string) {
    super(`file ${JSON.stringify(fileName)} is closed`);
  }
}

/** Thrown when an operation would change a directory that was opened read-only. */
export class ReadOnlyDirectoryError extends Error {
  override readonly name = 'ReadOnlyDirectoryError';
  constructor(
    readonly operation: string,
    readonly fileName: string,
  ) {
    super(`cannot ${operation} ${JSON.stringify(fileName)}: the directory is open read-only`);
  }
}

/**
 * Returns true if an operation failed only because the disk is full, judging by the system's error code, which every
 * `Directory` forwards.
 */
export function isNoSpaceError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}

/**
 * The system's codes for data that cannot be read: an error of the device (EIO, ENODATA, EREMOTEIO, EILSEQ), or a file
 * system that finds its own structures damaged (EUCLEAN, EBADMSG).
 */
const unreadableCodes: readonly unknown[] = ['EIO', 'ENODATA', 'EREMOTEIO', 'EILSEQ', 'EUCLEAN', 'EBADMSG'];

/** Returns true if reading or opening a file failed because the data is damaged, judging by the system's error code. */
export function isReadFailure(error: unknown): boolean {
  return error instanceof Error && 'code' in error && unreadableCodes.includes(error.code);
}

const fileNamePattern = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$/;

/**
 * Checks that a name consists of up to 200 ASCII letters, digits, `_`, `-` and `.`, and does not start with `.` or `-`:
 * such a name is not a path, is not hidden, and is stored unchanged whatever the file system's Unicode rules.
 */
export function assertFileName(name: string): void {
  if (!fileNamePattern.test(name))
    throw new RangeError(
      `invalid file name ${JSON.stringify(name)}: expected up to 200 ASCII letters, digits, "_", "-" and ".", ` +
        'starting with a letter, a digit or "_"',
    );
}
