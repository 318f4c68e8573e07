import {
  assertFileName,
  FileClosedError,
  FileExistsError,
  FileNotFoundError,
  type Directory,
  type File,
  type FileIdentity,
} from '../../domain/log/directory.js';
import { toPosition } from '../../domain/log/offsets.js';
import { GrowableBytes } from './growable-bytes.js';
import { nextIdentity } from './memory-inodes.js';

/**
 * A directory in memory, for tests and for embedding; its contents are lost with the process. It fulfills the contract
 * of `Directory` except for durability; `FaultyDirectory` models crashes.
 */
export class MemoryDirectory implements Directory {
  readonly #files = new Map<string, MemoryFileBytes>();
  readonly #subdirectories = new Map<string, MemoryDirectory>();

  /** Returns a snapshot of the files here, which are the same files in it: they keep their identities. */
  snapshot(): MemoryDirectory {
    const taken = new MemoryDirectory();
    for (const [name, bytes] of this.#files) {
      const file = new MemoryFileBytes(bytes.identity);
      file.write(0, bytes.read(0, bytes.length));
      taken.#files.set(name, file);
    }
    return taken;
  }

  async list(): Promise<string[]> {
    return [...this.#files.keys()].sort();
  }

  async subdirectory(name: string): Promise<MemoryDirectory> {
    assertFileName(name);
    if (this.#files.has(name)) throw new FileExistsError(name);
    let subdirectory = this.#subdirectories.get(name);
    if (!subdirectory) this.#subdirectories.set(name, (subdirectory = new MemoryDirectory()));
    return subdirectory;
  }

  async create(name: string): Promise<File> {
    assertFileName(name);
    if (this.#files.has(name) || this.#subdirectories.has(name)) throw new FileExistsError(name);
    const bytes = new MemoryFileBytes();
    this.#files.set(name, bytes);
    return new MemoryFile(name, bytes);
  }

  async open(name: string): Promise<File> {
    return new MemoryFile(name, this.#find(name));
  }

  async rename(from: string, to: string): Promise<void> {
    assertFileName(to);
    const bytes = this.#find(from);
    if (this.#subdirectories.has(to)) throw new FileExistsError(to);
    this.#files.delete(from);
    this.#files.set(to, bytes);
  }

  async remove(name: string): Promise<void> {
    this.#find(name);
    this.#files.delete(name);
  }

  async sync(): Promise<void> {}

  /** Returns Infinity: memory pressure is the process's concern. */
  async freeBytes(): Promise<number> {
    return Number.MAX_SAFE_INTEGER;
  }

  #find(name: string): MemoryFileBytes {
    assertFileName(name);
    const bytes = this.#files.get(name);
    if (!bytes) throw new FileNotFoundError(name);
    return bytes;
  }
}

class MemoryFileBytes extends GrowableBytes {
  constructor(readonly identity = nextIdentity()) {
    super();
  }
}

class MemoryFile implements File {
  #closed = false;

  constructor(
    readonly name: string,
    readonly bytes: MemoryFileBytes,
  ) {}

  async size(): Promise<number> {
    return this.#open().length;
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    return this.#open().read(toPosition(position), toPosition(length));
  }

  async write(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    const bytes = this.#open();
    let end: number = toPosition(position);
    for (const chunk of chunks) {
      bytes.write(end, chunk);
      end += chunk.length;
    }
  }

  async sync(): Promise<void> {
    this.#open();
  }

  async truncate(length: number): Promise<void> {
    this.#open().resize(toPosition(length));
  }

  async identity(): Promise<FileIdentity> {
    return this.#open().identity;
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #open(): MemoryFileBytes {
    if (this.#closed) throw new FileClosedError(this.name);
    return this.bytes;
  }
}
