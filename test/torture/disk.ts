import { existsSync, mkdirSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, runWhatever } from './commands.js';

const diskBytes = 512 * 1024 * 1024;

/** FS_IOC_SHUTDOWN without a flush of the journal: the file system forgets whatever is not on the disk yet. */
const cutPower = 'open F, "<", $ARGV[0] or die; my $flags = pack("L", 2); ioctl(F, 0x8004587d, $flags) or die $!';

/** The disk of one node: a file system of its own in a file. */
export class Disk {
  readonly #image: string;
  readonly #mount: string;

  constructor(folder: string, name: string) {
    this.#image = join(folder, `${name}.image`);
    this.#mount = join(folder, name);
  }

  /** The data directory of the node. */
  get dataDir(): string {
    return join(this.#mount, 'data');
  }

  get #filler(): string {
    return join(this.#mount, 'filler');
  }

  async make(): Promise<void> {
    writeFileSync(this.#image, '');
    truncateSync(this.#image, diskBytes);
    await run('mkfs.ext4', '-q', '-F', '-m', '0', this.#image);
    mkdirSync(this.#mount);
    await this.#attach();
  }

  /** Puts an empty data directory in place. */
  wipe(): void {
    rmSync(this.dataDir, { recursive: true, force: true });
  }

  /** Loses what was never synced. The node has no process afterward that may write: kill it before it goes on. */
  async cutPower(): Promise<void> {
    await run('perl', '-e', cutPower, this.#mount);
  }

  /** What the disk does when there is power again. */
  async restorePower(): Promise<void> {
    await run('umount', this.#mount);
    await this.#attach();
  }

  /** Leaves so many bytes free. */
  async fill(freeBytes: number): Promise<void> {
    const { bavail, bsize } = statfsSync(this.#mount);
    const bytes = Math.max(1, bavail * bsize - freeBytes);
    // The file needs blocks for its own tree as well: of a disk without a free byte, the last step fails.
    await runWhatever('fallocate', '--length', String(bytes), this.#filler);
  }

  free(): void {
    rmSync(this.#filler, { force: true });
  }

  /** Ends the disk; of its content, the data directory stays where it is asked for. */
  async dispose(keepAt?: string): Promise<void> {
    if (!existsSync(this.#mount)) return;
    if (keepAt !== undefined && existsSync(this.dataDir)) await run('cp', '-a', this.dataDir, keepAt);
    await run('umount', '-l', this.#mount).catch(() => undefined);
    rmSync(this.#mount, { recursive: true, force: true });
    rmSync(this.#image, { force: true });
  }

  async #attach(): Promise<void> {
    await run('mount', '-o', 'loop', this.#image, this.#mount);
  }
}
