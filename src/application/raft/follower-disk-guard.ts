import type { Entry } from '../../domain/raft/entry.js';
import type { DiskReserve } from '../storage/disk-reserve.js';
import type { Logger } from '../ports/logger.js';

/**
 * Makes a follower with a full disk ignore the leader's entries until there is space again (docs/guarantees.md,
 * durability rule 5): the others continue, and it catches up. Logs when this starts and when it ends.
 */
export class FollowerDiskGuard {
  /** The bytes of the entries that were ignored last; 0: the last ones were accepted. */
  #ignoredBytes = 0;

  constructor(
    private readonly diskReserve: Pick<DiskReserve, 'refresh' | 'refusalOf' | 'admitOrThrow' | 'isExhausted'>,
    private readonly logger: Logger,
  ) {}

  /** Whether there is no space for the entries that were ignored last, or for any. */
  get isFull(): boolean {
    void this.diskReserve.refresh();
    return this.diskReserve.refusalOf(Math.max(this.#ignoredBytes, 1)) !== undefined;
  }

  /** Whether the follower accepts the entries; accepted entries count as written. */
  admits(entries: readonly Entry[]): boolean {
    let bytes = 0;
    for (const { data } of entries) bytes += data.length;
    if (entries.length === 0 || (bytes === 0 && !this.diskReserve.isExhausted)) return true;
    void this.diskReserve.refresh();
    const needed = Math.max(1, bytes);
    const refusal = this.diskReserve.refusalOf(needed);
    if (refusal !== undefined) {
      if (this.#ignoredBytes === 0)
        this.logger.warn(
          'disk_full',
          { role: 'follower', reason: refusal.message },
          'the disk is full; accepting no entries',
        );
      this.#ignoredBytes = needed;
      return false;
    }
    this.diskReserve.admitOrThrow(needed);
    if (this.#ignoredBytes > 0)
      this.logger.info('disk_space_recovered', {}, 'the disk has space; accepting entries again');
    this.#ignoredBytes = 0;
    return true;
  }
}
