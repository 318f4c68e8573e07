import { spawnSync } from 'node:child_process';
import { appendFileSync, linkSync, statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('bad-sectors.c', import.meta.url));

/** Why bad sectors cannot be simulated here; undefined: they can. */
export function whyNoBadSectors(): string | undefined {
  if (process.platform !== 'linux') return 'not Linux';
  return spawnSync('cc', ['--version']).status === 0 ? undefined : 'there is no C compiler';
}

/** Files with bad sectors, for the processes that run through it. */
export class BadSectors {
  #count = 0;

  private constructor(
    private readonly list: string,
    /** The command that becomes a process with bad sectors. */
    readonly through: readonly string[],
  ) {}

  /** Compiles the library that fails the calls. `path` is for its files. */
  static compile(path: string): BadSectors {
    const library = `${path}.so`;
    const built = spawnSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl'], { encoding: 'utf8' });
    if (built.status !== 0) throw new Error(`cc failed: ${built.stderr}`);
    writeFileSync(path, '');
    return new BadSectors(path, ['env', `LD_PRELOAD=${library}`, `BAD_SECTORS=${path}`]);
  }

  /** From now on, these positions of the file can be neither read nor written. Returns a function that mends all files. */
  spoil(file: string, from: number, to: number): () => void {
    // Kept by another name: no other file gets its inode.
    linkSync(file, `${file}.spoiled-${++this.#count}`);
    appendFileSync(this.list, `${statSync(file).ino} ${from} ${to}\n`);
    return () => writeFileSync(this.list, '');
  }
}
