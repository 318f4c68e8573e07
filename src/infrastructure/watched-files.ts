import { readFile, stat } from 'node:fs/promises';
import { utf8Text } from './utf8-text.js';

/** A change is reported after one to two intervals: the files must have been unchanged for one. */
const pollIntervalMs = 200;

/**
 * Polls files for changes of inode, size and time, since replacing a mounted secret (a symbolic link to a new folder)
 * raises no event on the file. A missing file is a state like any other.
 */
export class WatchedFiles {
  #seen: string;
  #timer: NodeJS.Timeout | undefined;
  #busy: Promise<void> = Promise.resolve();
  #stopped = false;

  private constructor(
    private readonly paths: readonly string[],
    private readonly onChange: () => Promise<void>,
    initial: string,
  ) {
    this.#seen = initial;
  }

  /** Calls `onChange` after each change; it must not reject, and calls do not overlap. */
  static async watch(paths: readonly string[], onChange: () => Promise<void>): Promise<WatchedFiles> {
    const watched = new WatchedFiles(paths, onChange, await signatureOf(paths));
    watched.#wait(watched.#seen);
    return watched;
  }

  /** Calls `onChange` now, even without a change. */
  reload(): Promise<void> {
    this.#busy = this.#busy.then(this.onChange);
    return this.#busy;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#busy;
  }

  #wait(before: string): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      void this.#poll(before);
    }, pollIntervalMs);
    this.#timer.unref();
  }

  async #poll(before: string): Promise<void> {
    const now = await signatureOf(this.paths);
    if (now === before && now !== this.#seen) {
      this.#seen = now;
      await this.reload();
    }
    this.#wait(now);
  }
}

async function signatureOf(paths: readonly string[]): Promise<string> {
  const parts = paths.map(async (path) => {
    try {
      const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
      return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? 'unreadable';
    }
  });
  return (await Promise.all(parts)).join('\n');
}

/**
 * Reads the text of each file, in UTF-8. Rejects with the first error, which names its file.
 *
 * @param expected see `utf8Text`
 */
export function readTexts<Name extends string>(
  paths: Readonly<Record<Name, string>>,
  expected = '',
): Promise<Record<Name, string>> {
  const entries = Object.entries<string>(paths).map(async ([name, path]) => [
    name,
    utf8Text(await readFile(path), path, expected),
  ]);
  return Promise.all(entries).then((read) => Object.fromEntries(read) as Record<Name, string>);
}
