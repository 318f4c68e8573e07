import { DiskReserveError } from '../../domain/log/errors.js';
import type { Entry } from '../../domain/raft/entry.js';
import type { DiskReserve } from '../storage/disk-reserve.js';
import type { Logger } from '../ports/logger.js';

/**
 * On a full disk a follower lets the leader's entries pass by, and takes them when there is space again (storage.md,
 * durability rule 5): the others go on, and it catches up. The log tells when that begins and when it ends.
 */
export class FollowerDiskGuard {
  #isFull = false;

  constructor(
    private readonly diskReserve: Pick<DiskReserve, 'refresh' | 'admitOrThrow'>,
    private readonly logger: Logger,
  ) {}

  /** Counts the entries as written where it says yes. */
  admits(entries: readonly Entry[]): boolean {
    let bytes = 0;
    for (const { data } of entries) bytes += data.length;
    if (bytes === 0) return true;
    void this.diskReserve.refresh();
    try {
      this.diskReserve.admitOrThrow(bytes);
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
