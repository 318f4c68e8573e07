import { DiskReserveError } from '../../domain/log/errors.js';
import type { Entry } from '../../domain/raft/entry.js';
import type { DiskReserve } from '../storage/disk-reserve.js';
import type { Logger } from '../ports/logger.js';

/**
 * Makes a follower with a full disk ignore the leader's entries until there is space again (docs/guarantees.md,
 * durability rule 5): the others continue, and it catches up. Logs when this starts and when it ends.
 */
export class FollowerDiskGuard {
  #isFull = false;

  constructor(
    private readonly diskReserve: Pick<DiskReserve, 'refresh' | 'admitOrThrow' | 'isExhausted'>,
    private readonly logger: Logger,
  ) {}

  /** Whether the follower accepts the entries; accepted entries count as written. */
  admits(entries: readonly Entry[]): boolean {
    let bytes = 0;
    for (const { data } of entries) bytes += data.length;
    if (entries.length === 0 || (bytes === 0 && !this.diskReserve.isExhausted)) return true;
    void this.diskReserve.refresh();
    try {
      this.diskReserve.admitOrThrow(Math.max(1, bytes));
    } catch (error) {
      if (!(error instanceof DiskReserveError)) throw error;
      if (!this.#isFull)
        this.logger.warn(
          'disk_full',
          { role: 'follower', reason: error.message },
          'the disk is full; accepting no entries',
        );
      this.#isFull = true;
      return false;
    }
    if (this.#isFull) this.logger.info('disk_space_recovered', {}, 'the disk has space; accepting entries again');
    this.#isFull = false;
    return true;
  }
}
