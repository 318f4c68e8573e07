import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { has, run } from './commands.js';

/** In the order of `struct faults` in faulty-system.c, which says what each is. */
const names = ['syncDelayMs', 'syncErrors', 'readErrors', 'shortWrites', 'tornWrite', 'clockOffsetS'] as const;
export type SystemFault = (typeof names)[number];

const bytesEach = 4;
const source = 'test/torture/faulty-system.c';

/** Longer than any run. */
export const hangsMs = 2 ** 31 - 1;

/** Compiles the library that faulty systems are made with; undefined where there is no compiler. */
export async function compileFaultySystem(folder: string): Promise<string | undefined> {
  if (!has('gcc')) return undefined;
  const library = join(folder, 'faulty-system.so');
  await run('gcc', '-shared', '-fPIC', '-O2', '-o', library, source, '-ldl');
  return library;
}

/** The faults that a process has of its disk and its clock, through all its restarts. */
export class FaultySystem {
  readonly #file: number;

  constructor(
    private readonly sharedObject: string,
    private readonly path: string,
  ) {
    writeFileSync(path, Buffer.alloc(bytesEach * names.length));
    this.#file = openSync(path, 'r+');
  }

  /** A command that becomes one that has the faults. */
  get through(): string[] {
    return ['env', `LD_PRELOAD=${this.sharedObject}`, `FAULTY_SYSTEM=${this.path}`];
  }

  set(fault: SystemFault, value: number): void {
    const bytes = Buffer.alloc(bytesEach);
    bytes.writeInt32LE(value);
    writeSync(this.#file, bytes, 0, bytesEach, names.indexOf(fault) * bytesEach);
  }

  close(): void {
    closeSync(this.#file);
  }
}
