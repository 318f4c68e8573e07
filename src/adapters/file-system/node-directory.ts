import * as fs from 'node:fs';
import { mkdir, open, readdir, rename, stat, statfs, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import {
  assertFileName,
  FileExistsError,
  FileNotFoundError,
  isReadFailure,
  ReadOnlyDirectoryError,
  UnreadableError,
  type Directory,
} from '../../domain/log/directory.js';
import { descriptorReserve } from './descriptor-reserve.js';
import { errorCode, FileOperationError } from './errors.js';
import { operationsInFlight } from './operations-in-flight.js';
import { NodeFile } from './node-file.js';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR } = fs.constants;

/** Only the owner may read the log, which may hold secrets. */
const fileMode = 0o600;
const directoryMode = 0o700;

export interface NodeDirectoryOptions {
  /** If true, every operation that would change the directory or a file in it rejects with `ReadOnlyDirectoryError`. */
  readonly readOnly?: boolean;
}

/**
 * A directory of the operating system. New files and subdirectories are accessible by their owner only (0600, 0700).
 */
export class NodeDirectory implements Directory {
  private constructor(
    /** The path given to `open`, for messages. */
    readonly path: string,
    private readonly readOnly: boolean,
  ) {}

  /**
   * Opens an existing directory. Rejects with `FileOperationError`: `ENOENT` if it is missing, `ENOTDIR` if it is a
   * file.
   */
  static async open(path: string, options: NodeDirectoryOptions = {}): Promise<NodeDirectory> {
    try {
      await readdirOne(path);
    } catch (error) {
      throw new FileOperationError('open directory', path, error);
    }
    return new NodeDirectory(path, options.readOnly ?? false);
  }

  async list(): Promise<string[]> {
    const entries = await this.#attempt('list', undefined, () => readdir(this.path, { withFileTypes: true }));
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name)
      .sort();
  }

  async subdirectory(name: string): Promise<NodeDirectory> {
    const path = this.#path(name);
    if (this.readOnly) {
      const existing = await this.#attempt('open directory', name, () => stat(path));
      if (!existing.isDirectory()) throw new FileExistsError(name);
      return new NodeDirectory(path, true);
    }
    try {
      await mkdir(path, { mode: directoryMode });
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw new FileOperationError('create directory', path, error);
      const existing = await this.#attempt('open directory', name, () => stat(path));
      if (!existing.isDirectory()) throw new FileExistsError(name, { cause: error });
    }
    await this.sync();
    return new NodeDirectory(path, false);
  }

  async create(name: string): Promise<NodeFile> {
    this.#assertWritable('create', name);
    return this.#openFile('create', name, O_RDWR | O_CREAT | O_EXCL);
  }

  async open(name: string): Promise<NodeFile> {
    return this.#openFile('open', name, this.readOnly ? O_RDONLY : O_RDWR);
  }

  async rename(from: string, to: string): Promise<void> {
    this.#assertWritable('rename', from);
    const target = this.#path(to);
    await this.#attempt('rename', from, async () => {
      try {
        await rename(this.#path(from), target);
      } catch (error) {
        if (errorCode(error) === 'EISDIR') throw new FileExistsError(to, { cause: error });
        throw error;
      }
    });
  }

  async remove(name: string): Promise<void> {
    this.#assertWritable('remove', name);
    await this.#attempt('remove', name, () => unlink(this.#path(name)));
  }

  async sync(): Promise<void> {
    await this.#attempt('sync directory', undefined, () => syncDirectory(this.path));
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await this.#attempt('statfs', undefined, () => statfs(this.path));
    return bavail * bsize;
  }

  get lacksDescriptors(): boolean {
    return descriptorReserve.isExhausted;
  }

  async #openFile(operation: string, name: string, flags: number): Promise<NodeFile> {
    const path = this.#path(name);
    const fd = await this.#attempt(operation, name, () => openDescriptor(path, flags | O_NOFOLLOW));
    return new NodeFile(fd, path, name, this.readOnly);
  }

  #path(name: string): string {
    assertFileName(name);
    return join(this.path, name);
  }

  #assertWritable(operation: string, name: string): void {
    if (this.readOnly) throw new ReadOnlyDirectoryError(operation, name);
  }

  async #attempt<T>(operation: string, name: string | undefined, act: () => Promise<T>): Promise<T> {
    try {
      return await operationsInFlight.track(() => descriptorReserve.use(act));
    } catch (error) {
      const code = errorCode(error);
      if (name !== undefined) {
        // A subdirectory is not a file, so a subdirectory of that name counts as a missing file, except when creating a
        // file.
        if (code === 'ENOENT' || code === 'EISDIR') throw new FileNotFoundError(name, { cause: error });
        if (code === 'EEXIST') throw new FileExistsError(name, { cause: error });
        if (operation === 'open' && isReadFailure(error)) throw new UnreadableError(this.#path(name), { cause: error });
      }
      if (error instanceof RangeError || error instanceof FileExistsError) throw error;
      throw new FileOperationError(operation, name === undefined ? this.path : join(this.path, name), error);
    }
  }
}

/** Makes a directory's entries durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function readdirOne(path: string): Promise<void> {
  const directory = await fs.promises.opendir(path);
  await directory.close();
}

function openDescriptor(path: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(path, flags, fileMode, (error, fd) => (error ? reject(error) : resolve(fd)));
  });
}
