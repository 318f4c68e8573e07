/**
 * A directory of files: the seam under the log. `NodeDirectory` is the real one, `MemoryDirectory` serves tests and
 * embedding, `FaultyDirectory` drops, tears and fails what the test asks for. One contract suite runs against all.
 *
 * Names are plain file names (no separators). An operation that fails rejects with the cause; the caller decides
 * whether that is fatal (storage.md, durability rule 4: a failed write, sync or rename of the log is never retried).
 */
export interface Directory {
  /** Names of the files (not of subdirectories), sorted by code unit. */
  list(): Promise<string[]>;
  /** The subdirectory of that name, created (and this directory synced) when missing. */
  subdirectory(name: string): Promise<Directory>;
  /** Creates an empty file for reading and writing; rejects with `FileExistsError` when the name is taken. */
  create(name: string): Promise<File>;
  /** Opens an existing file for reading and writing; rejects with `FileNotFoundError` when there is none. */
  open(name: string): Promise<File>;
  /** Renames within this directory, replacing `to`. Durable only after `sync()`. */
  rename(from: string, to: string): Promise<void>;
  /** Deletes a file; open handles stay readable until closed. Durable only after `sync()`. */
  remove(name: string): Promise<void>;
  /** Makes creations, renames and removals in this directory durable. */
  sync(): Promise<void>;
  /** Bytes that may still be written to the file system under this directory. */
  freeBytes(): Promise<number>;
}

/** An open file with positional reads and writes. */
export interface File {
  /** The file's length in bytes now. */
  size(): Promise<number>;
  /** Reads up to `length` bytes; fewer only at the end of the file. The result belongs to the caller. */
  read(position: number, length: number): Promise<Uint8Array>;
  /** Writes all chunks back to back at `position`, looping over short writes. Not durable before `sync()`. */
  write(position: number, chunks: readonly Uint8Array[]): Promise<void>;
  /** fdatasync: the file's data and its length are durable when this resolves. */
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  /** Idempotent. */
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
    super(`a file ${JSON.stringify(fileName)} exists already`, options);
  }
}
