import type { Directory, File, FileIdentity } from '../../src/domain/log/directory.js';
import { FaultyDirectory, type AfterCrashOptions } from '../../src/adapters/memory/faulty-directory.js';
import type { Chance } from './chance.js';
import type { SimulatedProcess } from './simulated-process.js';

/** The current behavior of a machine's disk. */
export interface DiskWeather {
  /** Every operation takes this many times as long. */
  slowness: number;
  /** Every sync takes so much longer. */
  syncMs: number;
  /** Syncs of these files report success without doing anything; set only by negative controls. */
  skipsSyncOf: RegExp | undefined;
}

/** Range of milliseconds that each operation takes. */
const latencies = { look: [0.005, 0.05], write: [0.02, 0.4], sync: [0.3, 4] } as const;
export type DiskOperation = keyof typeof latencies;

const hardStateSlotBytes = 44;
const hardStateSlotSpacing = 4096;

/** Operations in flight, which a kill can interrupt. */
type InFlight = () => void;

/**
 * The disk of one machine, across all lives of its processes: a `FaultyDirectory` whose operations take virtual time
 * and take effect at the end of it.
 */
export class SimulatedDisk {
  readonly weather: DiskWeather = { slowness: 1, syncMs: 0, skipsSyncOf: undefined };
  #root = FaultyDirectory.create();
  #freeBytes = Infinity;
  readonly #inFlight = new Set<InFlight>();
  /** The operations that hang: they begin at `resume`. */
  #hanging: readonly DiskOperation[] = [];
  #held: (() => void)[] = [];
  #armed: { on: RegExp; operations: number; crash: (during: string) => void } | undefined;
  /** The last operation that a process requested. */
  #lastLabel = '';

  constructor(private readonly chance: Chance) {}

  /** The content of the disk as programs see it now, without delay: for the checks. */
  get root(): FaultyDirectory {
    return this.#root;
  }

  /** Returns the root directory for a process. */
  directoryFor(process: SimulatedProcess): Directory {
    return new SimulatedDirectory(this, process, this.#root);
  }

  /** Whether there is no free byte. */
  get isFull(): boolean {
    return this.#freeBytes === 0;
  }

  setFreeBytes(bytes: number): void {
    this.#freeBytes = bytes;
    this.#root.setFreeBytes(Math.min(bytes, Number.MAX_SAFE_INTEGER / 2));
  }

  skipsSync(name: string): boolean {
    return this.weather.skipsSyncOf?.test(name) === true;
  }

  /** Makes the next sync of a file fail; data written before it is lost. */
  failNextSync(): void {
    this.#root.inject({ operation: 'sync' });
  }

  /** Whether operations hang, or syncs take long. */
  get isStuck(): boolean {
    return this.#hanging.length > 0 || this.weather.syncMs > 0;
  }

  /** Has such operations hang, until `resume` or a crash. */
  hang(operations: readonly DiskOperation[]): void {
    this.#hanging = operations;
  }

  resume(): void {
    this.#hanging = [];
    for (const begin of this.#held.splice(0)) begin();
  }

  /** Ends all trouble that is not over or still to come, except for what is damaged already. */
  heal(): void {
    Object.assign(this.weather, { slowness: 1, syncMs: 0 });
    this.resume();
    this.setFreeBytes(Infinity);
    this.#root.heal();
    this.#armed = undefined;
  }

  /** Calls `crash` once that many matching writes and syncs have been in flight from now on. */
  armCrash(on: RegExp, operations: number, crash: (during: string) => void): void {
    this.#armed = { on, operations, crash };
  }

  /** Called when the process died, and, for `keep` other than `all`, the machine with it. */
  crash(keep: AfterCrashOptions['keep']): void {
    if (keep === 'all') for (const half of this.#inFlight) if (this.chance.percent(30)) half();
    this.#endOperations();
    this.#armed = undefined;
    this.#replaceRoot(this.#root.afterCrash({ keep, seed: this.chance.below(2 ** 31) }));
  }

  /** Erases the disk. */
  wipe(): void {
    this.#endOperations();
    this.#root = FaultyDirectory.create();
  }

  /**
   * Replaces all files by copies of those of another disk, or of its own: the same bytes in other files. No process may
   * run on the disk.
   */
  replaceByCopy(of: SimulatedDisk = this): void {
    this.#replaceRoot(of.root.copy());
  }

  /** Puts the files and directories at these paths back from a copy. No process may run on the disk. */
  async putBack(copy: FaultyDirectory, paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      const [name, file] = path.split('/');
      if (file === undefined) this.#root.putCopy(name, copy);
      else (await this.#root.subdirectory(name)).putCopy(file, await copy.subdirectory(name));
    }
    this.#replaceRoot(this.#root);
  }

  /** Removes the file or directory at the path. No process may run on the disk. */
  remove(path: string): Promise<void> {
    return this.putBack(FaultyDirectory.create(), [path]);
  }

  /** Flips a bit in a slot of the hard state: see docs/storage-format.md. */
  async damageHardState(slot: number): Promise<void> {
    const raft = await this.#root.subdirectory('raft');
    raft.corrupt('hard-state', slot * hardStateSlotSpacing + this.chance.below(hardStateSlotBytes), 1);
  }

  #endOperations(): void {
    this.#inFlight.clear();
    this.#hanging = [];
    this.#held = [];
  }

  #replaceRoot(root: FaultyDirectory): void {
    this.#root = root;
    if (this.#freeBytes !== Infinity) this.setFreeBytes(this.#freeBytes);
  }

  /** Runs `act` in the process after its delay; `half` is what a kill in between may leave. */
  perform<T>(
    process: SimulatedProcess,
    kind: DiskOperation,
    label: string,
    act: () => Promise<T>,
    half: InFlight = () => undefined,
  ): Promise<T> {
    const [from, to] = latencies[kind];
    const { slowness, syncMs } = this.weather;
    const ms = (from + this.chance.fraction() * (to - from)) * slowness + (kind === 'sync' ? syncMs : 0);
    this.#inFlight.add(half);
    if (kind !== 'look') this.#countDown(process, ms, label);
    return new Promise((resolve, reject) => {
      const begin = (): void =>
        void process.schedule(ms, label, () => {
          this.#inFlight.delete(half);
          act().then(resolve, reject);
        });
      if (this.#hanging.includes(kind)) this.#held.push(begin);
      else begin();
    });
  }

  #countDown(process: SimulatedProcess, ms: number, label: string): void {
    const afterHardState = this.#lastLabel === 'sync hard-state';
    this.#lastLabel = label;
    const armed = this.#armed;
    const during = wordsFor(label, afterHardState);
    if (armed === undefined || !(armed.on.test(label) || armed.on.test(during)) || --armed.operations > 0) return;
    this.#armed = undefined;
    process.schedule(ms * this.chance.fraction(), `crashes during ${during}`, () => armed.crash(during));
  }

  /** Returns a prefix of the chunks, cut at any byte. */
  part(chunks: readonly Uint8Array[]): Uint8Array[] {
    let room = this.chance.below(chunks.reduce((sum, chunk) => sum + chunk.length, 0) + 1);
    return chunks.flatMap((chunk) => {
      const taken = chunk.slice(0, room);
      room -= taken.length;
      return taken.length > 0 ? [taken] : [];
    });
  }
}

/** Names what was being written, for the coverage marks. */
function wordsFor(label: string, afterHardState: boolean): string {
  if (label.includes('hard-state')) return 'the write of the hard state';
  if (label.startsWith('truncate')) return 'the cut of a conflicting suffix';
  if (label.includes('.index') || label.startsWith('create') || label.startsWith('rename'))
    return 'the roll of a segment';
  if (label.includes('.store')) return afterHardState ? 'the append after the hard state' : 'the write of the log';
  if (label.includes('log-start')) return 'the write of the log start';
  if (label.includes('snapshot')) return 'the write of the configuration';
  return 'another write';
}

class SimulatedDirectory implements Directory {
  constructor(
    private readonly disk: SimulatedDisk,
    private readonly process: SimulatedProcess,
    private readonly inner: FaultyDirectory,
  ) {}

  list(): Promise<string[]> {
    return this.#look('list', () => this.inner.list());
  }

  async subdirectory(name: string): Promise<Directory> {
    const inner = await this.#change(`open directory ${name}`, () => this.inner.subdirectory(name));
    return new SimulatedDirectory(this.disk, this.process, inner);
  }

  async create(name: string): Promise<File> {
    const file = await this.#change(`create ${name}`, () => this.inner.create(name));
    return new SimulatedFile(this.disk, this.process, file, name);
  }

  async open(name: string): Promise<File> {
    const file = await this.#look(`open ${name}`, () => this.inner.open(name));
    return new SimulatedFile(this.disk, this.process, file, name);
  }

  rename(from: string, to: string): Promise<void> {
    return this.#change(`rename ${from} to ${to}`, () => this.inner.rename(from, to));
  }

  remove(name: string): Promise<void> {
    return this.#change(`remove ${name}`, () => this.inner.remove(name));
  }

  sync(): Promise<void> {
    const { disk, inner } = this;
    return disk.perform(this.process, 'sync', 'sync directory', async () => {
      if (!disk.skipsSync('directory')) await inner.sync();
    });
  }

  freeBytes(): Promise<number> {
    return this.#look('free bytes', () => this.inner.freeBytes());
  }

  #look<T>(label: string, act: () => Promise<T>): Promise<T> {
    return this.disk.perform(this.process, 'look', label, act);
  }

  #change<T>(label: string, act: () => Promise<T>): Promise<T> {
    return this.disk.perform(this.process, 'write', label, act);
  }
}

class SimulatedFile implements File {
  constructor(
    private readonly disk: SimulatedDisk,
    private readonly process: SimulatedProcess,
    private readonly inner: File,
    private readonly name: string,
  ) {}

  size(): Promise<number> {
    return this.#do('look', 'size of', () => this.inner.size());
  }

  read(position: number, length: number): Promise<Uint8Array> {
    return this.#do('look', 'read', () => this.inner.read(position, length));
  }

  write(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    const { inner, disk, process, name } = this;
    const half = (): void => void inner.write(position, disk.part(chunks)).catch(() => undefined);
    return disk.perform(process, 'write', `write ${name}`, () => inner.write(position, chunks), half);
  }

  sync(): Promise<void> {
    return this.#do('sync', 'sync', async () => {
      if (!this.disk.skipsSync(this.name)) await this.inner.sync();
    });
  }

  truncate(length: number): Promise<void> {
    return this.#do('write', 'truncate', () => this.inner.truncate(length));
  }

  identity(): Promise<FileIdentity> {
    return this.#do('look', 'identity of', () => this.inner.identity());
  }

  close(): Promise<void> {
    return this.#do('look', 'close', () => this.inner.close());
  }

  #do<T>(kind: DiskOperation, verb: string, act: () => Promise<T>): Promise<T> {
    return this.disk.perform(this.process, kind, `${verb} ${this.name}`, act);
  }
}
