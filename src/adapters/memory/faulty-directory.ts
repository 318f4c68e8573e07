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
import { CachedDirectory } from './cached-directory.js';
import { CachedFile, type Keep } from './cached-file.js';
import { failureOf, FaultyDisk, InjectedFaultError, type Fault, type FaultPlan } from './faulty-disk.js';
import { randomInteger, seededRandom, type Random } from './seeded-random.js';

export interface AfterCrashOptions {
  readonly keep: Keep;
  /** Seeds the choice of what survives under `keep: 'random'`, and the effects of the next faults. */
  readonly seed?: number;
  /** The fault plan of the new disk (default: no faults). */
  readonly plan?: FaultPlan;
}

/**
 * A directory on a simulated disk with a write cache: a crash drops or tears data that was not synced and undoes
 * changes that were not directory-synced. To try every crash, run the workload once, read `operations`, and run it
 * again for each `crashAtOperation` up to that number; then reopen on `afterCrash(…)`.
 *
 * Subdirectories are on the same disk: counts, crashes and faults apply to the whole disk.
 */
export class FaultyDirectory implements Directory {
  private constructor(
    private readonly disk: FaultyDisk,
    private readonly cached: CachedDirectory,
    private readonly name: string,
  ) {}

  /** Creates an empty disk. `random` decides how much of a failed write is written anyway. */
  static create(plan: FaultPlan = {}, random: Random = seededRandom(1)): FaultyDirectory {
    const root = new CachedDirectory();
    return new FaultyDirectory(new FaultyDisk(root, plan, random), root, '/');
  }

  /**
   * The number of operations so far that changed something: create, write, sync, truncate, rename, remove, directory
   * sync.
   */
  get operations(): number {
    return this.disk.operations;
  }

  /** A description of the last of them, for test messages. */
  get lastOperation(): string {
    return this.disk.lastOperation;
  }

  /** Cuts the power: from now on everything rejects with `CrashedError`. */
  crash(): void {
    this.disk.crash();
  }

  /** Returns the root directory as the next start finds it, on a new disk. Cuts the power if it is still on. */
  afterCrash({ keep, seed = 1, plan = {} }: AfterCrashOptions): FaultyDirectory {
    this.crash();
    const random = seededRandom(seed);
    const root = this.disk.root.afterCrash(keep, random);
    return new FaultyDirectory(new FaultyDisk(root, plan, random), root, '/');
  }

  /** Returns a copy of the whole disk, synced, as `cp -a` makes it: every file in it is another file. */
  copy(): FaultyDirectory {
    const root = this.disk.root.copy();
    return new FaultyDirectory(new FaultyDisk(root, {}, this.disk.random), root, '/');
  }

  /** Replaces the file or directory of this name by a copy of that in `from`, durably; removes it if `from` has no such entry. */
  putCopy(name: string, from: FaultyDirectory): void {
    const entry = from.cached.entries.get(name);
    if (this.cached.entries.has(name)) this.cached.remove(name);
    if (entry !== undefined) this.cached.add(name, entry.copy());
    this.cached.sync();
  }

  inject(fault: Fault): void {
    this.disk.inject(fault);
  }

  /** Forgets the faults that have not happened yet, on the whole disk. */
  heal(): void {
    this.disk.heal();
  }

  setFreeBytes(bytes: number): void {
    this.disk.freeBytes = bytes;
  }

  /** Flips the bits of `mask` in one byte of a file in this directory, in the cache and on the disk. */
  corrupt(name: string, position: number, mask: number): void {
    this.#file(name).corrupt(position, mask);
  }

  /** Turns the sectors of these positions of a file bad: they can be neither read nor written, by nobody. */
  spoil(name: string, from: number, to: number): void {
    this.#file(name).spoil(from, to);
  }

  /** Whether a file has bad sectors. */
  isSpoiled(name: string): boolean {
    return this.#file(name).isBad(0, Infinity);
  }

  /** Returns the content of a file, that of bad sectors too. */
  peek(name: string): Uint8Array {
    const file = this.#file(name);
    return file.read(0, file.length);
  }

  async list(): Promise<string[]> {
    this.disk.assertPowered();
    return [...this.cached.entries].flatMap(([name, entry]) => (entry instanceof CachedFile ? [name] : [])).sort();
  }

  async subdirectory(name: string): Promise<FaultyDirectory> {
    assertFileName(name);
    this.disk.assertPowered();
    let entry = this.cached.entries.get(name);
    if (entry instanceof CachedFile) throw new FileExistsError(name);
    if (!entry) {
      const added = (entry = new CachedDirectory());
      this.disk.perform('create', name, () => this.cached.add(name, added));
    }
    await this.sync();
    return new FaultyDirectory(this.disk, entry, name);
  }

  async create(name: string): Promise<File> {
    assertFileName(name);
    const file = new CachedFile();
    this.disk.perform('create', name, () => {
      if (this.cached.entries.has(name)) throw new FileExistsError(name);
      this.cached.add(name, file);
    });
    return new FaultyFile(this.disk, file, name);
  }

  async open(name: string): Promise<File> {
    assertFileName(name);
    return this.disk.perform('open', name, () => new FaultyFile(this.disk, this.#file(name), name));
  }

  async rename(from: string, to: string): Promise<void> {
    assertFileName(from);
    assertFileName(to);
    this.disk.perform('rename', from, () => {
      this.#file(from);
      if (this.cached.entries.get(to) instanceof CachedDirectory) throw new FileExistsError(to);
      this.cached.rename(from, to);
    });
  }

  async remove(name: string): Promise<void> {
    assertFileName(name);
    this.disk.perform('remove', name, () => {
      this.#file(name);
      this.cached.remove(name);
    });
  }

  async sync(): Promise<void> {
    this.disk.perform(
      'directory-sync',
      this.name,
      () => this.cached.sync(),
      () => this.cached.dropUnsynced(),
    );
  }

  async freeBytes(): Promise<number> {
    this.disk.assertPowered();
    return this.disk.freeBytes;
  }

  #file(name: string): CachedFile {
    const entry = this.cached.entries.get(name);
    if (!(entry instanceof CachedFile)) throw new FileNotFoundError(name);
    return entry;
  }
}

class FaultyFile implements File {
  #closed = false;

  constructor(
    private readonly disk: FaultyDisk,
    private readonly file: CachedFile,
    private readonly name: string,
  ) {}

  async size(): Promise<number> {
    this.#assertOpen();
    return this.file.length;
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    this.#assertOpen();
    toPosition(position);
    toPosition(length);
    return this.disk.perform('read', this.name, () => {
      this.#assertGood('read', position, position + length);
      return this.file.read(position, length);
    });
  }

  async write(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    this.#assertOpen();
    toPosition(position);
    const bytes = concatenate(chunks);
    const part = (length: number) => () => this.file.write(position, bytes.subarray(0, length));
    this.disk.perform(
      'write',
      this.name,
      () => {
        this.#assertGood('write', position, position + bytes.length);
        const fitting = Math.max(0, this.file.length - position + this.disk.freeBytes);
        part(fitting)();
        if (fitting < bytes.length) throw new InjectedFaultError('ENOSPC', 'write', this.name);
      },
      () => part(randomInteger(this.disk.random, 0, bytes.length))(),
    );
  }

  async sync(): Promise<void> {
    this.#assertOpen();
    this.disk.perform(
      'sync',
      this.name,
      () => this.file.sync(),
      () => this.file.dropUnsynced(),
    );
  }

  async truncate(length: number): Promise<void> {
    this.#assertOpen();
    toPosition(length);
    this.disk.perform('truncate', this.name, () => {
      // The rest of the sector at the new end is written again.
      this.#assertGood('truncate', length, length + 1);
      this.file.truncate(length);
    });
  }

  async identity(): Promise<FileIdentity> {
    this.#assertOpen();
    return this.file.identity;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.disk.perform('close', this.name, () => {});
  }

  #assertGood(operation: 'read' | 'write' | 'truncate', from: number, to: number): void {
    if (this.file.isBad(from, to)) throw failureOf(new InjectedFaultError('EIO', operation, this.name));
  }

  #assertOpen(): void {
    this.disk.assertPowered();
    if (this.#closed) throw new FileClosedError(this.name);
  }
}

function concatenate(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let end = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, end);
    end += chunk.length;
  }
  return bytes;
}
