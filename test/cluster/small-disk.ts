import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Why this machine cannot mount a file system of a given size; undefined: it can. */
export function whyNoSmallDisk(folder: string): string | undefined {
  if (process.getuid?.() !== 0) return 'not root';
  try {
    SmallDisk.mount(folder, 1 << 20).unmount();
    return undefined;
  } catch (error) {
    return `cannot mount a tmpfs: ${String(error)}`;
  }
}

/** A file system in memory that can be filled to its last byte. */
export class SmallDisk {
  private constructor(readonly path: string) {}

  static mount(path: string, bytes: number): SmallDisk {
    mkdirSync(path, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', path], { stdio: 'pipe' });
    return new SmallDisk(path);
  }

  get #filler(): string {
    return join(this.path, 'filler');
  }

  /** Takes all free space. */
  fill(): void {
    const file = openSync(this.#filler, 'a');
    for (let bytes = 1 << 20; bytes >= 1;)
      try {
        writeSync(file, new Uint8Array(bytes));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
        bytes >>= 1;
      }
    closeSync(file);
  }

  free(): void {
    rmSync(this.#filler);
  }

  unmount(): void {
    execFileSync('umount', ['-l', this.path], { stdio: 'pipe' });
  }
}
