import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../application/ports/clock.js';
import { repeat } from '../../application/waiting/repeat.js';
import { DataDirectoryError } from './data-directory-error.js';
import { acquireLock, type Lock, lockExisting } from './directory-lock.js';

const lookMs = 1_000;
/** A node that has stored its cluster creates its hard state before this many looks. */
const missingMax = 3;
export const lockFileName = 'LOCK';
const hardStateName = join('raft', 'hard-state');
const configurationName = join('raft', 'snapshot');

export interface ClaimWatch {
  readonly clock: Clock;
  /** Called once if another process may use the directory as well; this one must end. */
  readonly onLost: (error: unknown) => void;
}

/**
 * Keeps other processes out of a data directory, by locks on two of its files. The hard state is locked because `LOCK`
 * may be removed by hand: a new file of that name can be locked by another process. With `watch`, looks each second
 * whether both files are still in their place.
 */
export class DirectoryClaim {
  readonly #locks = new Map<string, Lock>();
  /** How often in a row the hard state of a node in a cluster was not there. */
  #missing = 0;
  #stopWatching: () => Promise<void> = () => Promise.resolve();

  private constructor(private readonly path: string) {}

  /** Rejects with `DataDirectoryError` if another process has the directory. */
  static async make(path: string, watch?: ClaimWatch): Promise<DirectoryClaim> {
    const claim = new DirectoryClaim(path);
    const main = await acquireLock(join(path, lockFileName));
    if (main.kind === 'taken') throw new DataDirectoryError(path, { kind: 'locked', pid: main.pid });
    claim.#locks.set(lockFileName, main.lock);
    try {
      await claim.#lockHardState();
    } catch (error) {
      await claim.release();
      throw error;
    }
    if (watch) claim.#stopWatching = repeat(watch.clock, lookMs, () => claim.#assertHeld(), watch.onLost);
    return claim;
  }

  async release(): Promise<void> {
    await this.#stopWatching();
    for (const lock of this.#locks.values()) await lock.release();
    this.#locks.clear();
  }

  /** At the first start, the file is created after the directory was opened. */
  async #lockHardState(): Promise<void> {
    if (this.#locks.has(hardStateName)) return;
    const result = await lockExisting(join(this.path, hardStateName));
    if (result?.kind === 'taken') throw new DataDirectoryError(this.path, { kind: 'locked', pid: result.pid });
    if (result !== undefined) this.#locks.set(hardStateName, result.lock);
    else if (await exists(join(this.path, configurationName))) this.#missing += 1;
  }

  async #assertHeld(): Promise<void> {
    for (const [file, lock] of this.#locks)
      if (!(await lock.isInPlace())) throw new DataDirectoryError(this.path, { kind: 'replaced', file });
    await this.#lockHardState();
    if (this.#missing >= missingMax) throw new DataDirectoryError(this.path, { kind: 'replaced', file: hardStateName });
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
