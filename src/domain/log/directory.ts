/**
 * A directory of files: the seam under the log. `NodeDirectory` is the real one, `MemoryDirectory` serves tests and
 * embedding, `FaultyDirectory` drops, tears and fails what the test asks for. One contract suite runs against all.
 *
 * Names are plain file names as `assertFileName` allows them. An operation that fails rejects with the cause; the
 * caller decides whether that is fatal (a failed write, sync or rename of the log or the hard state is never retried:
 * after a failed sync the kernel may have dropped the data and still answer the next sync with success).
 */
export interface Directory {
  /** Names of the files (not of subdirectories), sorted by code unit. */
  list(): Promise<string[]>;
  /**
   * The subdirectory of that name, created when missing. This directory is synced either way, so that the entry is
   * durable on return even if it was made by a process that died before its sync.
   */
  subdirectory(name: string): Promise<Directory>;
  /**
   * Creates an empty file for reading and writing; rejects with `FileExistsError` when the name is taken. The name is
   * durable only after `sync()` of this directory.
   */
  create(name: string): Promise<File>;
  /** Opens an existing file for reading and writing; rejects with `FileNotFoundError` when there is none. */
  open(name: string): Promise<File>;
  /**
   * Renames a file within this directory, replacing the file `to` if there is one. Open handles follow their file.
   * Durable only after `sync()`; atomic: after a crash `to` is the old file or the new one.
   */
  rename(from: string, to: string): Promise<void>;
  /** Deletes a file; open handles stay readable and writable until closed. Durable only after `sync()`. */
  remove(name: string): Promise<void>;
  /** Makes creations, renames and removals in this directory durable; not the contents of the files. */
  sync(): Promise<void>;
  /** Bytes that an unprivileged process may still write to the file system under this directory. */
  freeBytes(): Promise<number>;
}

/**
 * An open file with positional reads and writes, in any number at a time. Two overlapping operations that are under
 * way together have no order; an operation begun after another resolved sees its effect. After `close()` was called
 * every operation but `close` rejects with `FileClosedError`.
 */
export interface File {
  /** The file's length in bytes now. */
  size(): Promise<number>;
  /**
   * Reads up to `length` bytes; fewer only at the end of the file, none at or beyond it. The result belongs to the
   * caller and pins no memory beyond its own length.
   */
  read(position: number, length: number): Promise<Uint8Array>;
  /**
   * Writes all chunks back to back at `position`, looping over short writes; a gap before `position` reads as zeros.
   * The chunks are the file's until the promise settles. Not durable before `sync()`; when it rejects, any part may
   * have been written.
   */
  write(position: number, chunks: readonly Uint8Array[]): Promise<void>;
  /**
   * fdatasync: what was written, and the length that was set, before the call is durable when this resolves. When it
   * rejects nothing is known about any of it, and calling again proves nothing.
   */
  sync(): Promise<void>;
  /** Cuts the file, or extends it with zeros, to `length` bytes. Durable only after `sync()`. */
  truncate(length: number): Promise<void>;
  /** Waits for the operations under way, then lets go of the file. Does not sync. Idempotent. */
  close(): Promise<void>;
}

export class FileNotFoundError extends Error {
  override readonly name = 'FileNotFoundError';
  constructor(
    readonly fileName: string,
    options?: ErrorOptions,
  ) {
    super(`no file ${JSON.stringify(fileName)}`, options);
  }
}

export class FileExistsError extends Error {
  override readonly name = 'FileExistsError';
  constructor(
    readonly fileName: string,
    options?: ErrorOptions,
  ) {
    super(`${JSON.stringify(fileName)} exists already`, options);
  }
}

/** A file was used after it was closed: a mistake of the caller. */
export class FileClosedError extends Error {
  override readonly name = 'FileClosedError';
  constructor(readonly fileName: string) {
    super(`file ${JSON.stringify(fileName)} is closed`);
  }
}

/** The directory was opened for reading only, so nothing in it may be changed. */
export class ReadOnlyDirectoryError extends Error {
  override readonly name = 'ReadOnlyDirectoryError';
  constructor(
    readonly operation: string,
    readonly fileName: string,
  ) {
    super(`cannot ${operation} ${JSON.stringify(fileName)}: the directory is open for reading only`);
  }
}

/** Whether an operation failed for want of space alone: by the system's code, which every `Directory` passes on. */
export function isNoSpaceError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}

const fileNamePattern = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$/;

/**
 * Names are ASCII letters, digits, `_`, `-` and `.`, not beginning with `.` or `-`, up to 200 characters: neither a
 * path, nor hidden, nor changed by any file system's case or Unicode rules beyond what we choose ourselves.
 */
export function assertFileName(name: string): void {
  if (!fileNamePattern.test(name))
    throw new RangeError(`not a file name that may be used here: ${JSON.stringify(name)}`);
}
