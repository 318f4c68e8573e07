import { existsSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = '/usr/lib';
const inFolder = 'faketime/libfaketimeMT.so.1';

/** The library that Debian's package `faketime` installs. */
const library = existsSync(folder)
  ? ['.', ...readdirSync(folder)].map((name) => join(folder, name, inFolder)).find((path) => existsSync(path))
  : undefined;

/** Why the clock of a process cannot be set here; undefined: it can. */
export const withoutFakeClock = library === undefined ? 'faketime is not installed' : undefined;

/** The wall clock of one process, which can be set while it runs. Its monotonic clock stays as it is. */
export class FakeClock {
  /** A command that becomes the process. */
  readonly through: readonly string[];

  constructor(private readonly file: string) {
    this.setAhead(0);
    this.through = [
      'env',
      `LD_PRELOAD=${library}`,
      `FAKETIME_TIMESTAMP_FILE=${file}`,
      'FAKETIME_NO_CACHE=1',
      'FAKETIME_DONT_FAKE_MONOTONIC=1',
      'NO_FAKE_STAT=1',
    ];
  }

  /** Sets the clock ahead of the true one by so many seconds, or back by a negative number, at once. */
  setAhead(seconds: number): void {
    writeFileSync(`${this.file}.new`, `${seconds < 0 ? '' : '+'}${seconds}\n`);
    renameSync(`${this.file}.new`, this.file);
  }

  /** Removes what the library leaves of a process that was killed. */
  static forget(pid: number): void {
    for (const name of ['faketime_shm', 'sem.faketime_sem']) rmSync(`/dev/shm/${name}_${pid}`, { force: true });
  }
}
