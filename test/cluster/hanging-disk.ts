import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../foundation/checkout.js';

/** Whether this machine has a C compiler, which `HangingDisk` needs. */
export const hasCompiler = spawnSync('cc', ['--version']).status === 0;

/** A disk that hangs when it is told to: the syncs of the processes that are started through it do not return. */
export class HangingDisk {
  constructor(
    private readonly sharedObject: string,
    private readonly holdFile: string,
  ) {}

  /** Compiles the library to this file. */
  static compile(library: string): void {
    const source = join(root, 'test/cluster/hold-syncs.c');
    const built = spawnSync('cc', ['-shared', '-fPIC', '-o', library, source, '-ldl'], { encoding: 'utf8' });
    if (built.status !== 0) throw new Error(`cannot compile ${source}: ${built.stderr}`);
  }

  /** The command that becomes the process of a node on this disk. */
  get through(): readonly string[] {
    return ['env', `LD_PRELOAD=${this.sharedObject}`, `HOLD_SYNCS_WHILE=${this.holdFile}`];
  }

  hang(): void {
    writeFileSync(this.holdFile, '');
  }

  resume(): void {
    rmSync(this.holdFile, { force: true });
  }
}
