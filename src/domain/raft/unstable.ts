import type { Entry } from './entry.js';
import type { EntryId } from './entry-id.js';
import type { RaftLogger } from './raft-logger.js';
import type { Snapshot } from './snapshot.js';

/**
 * The part of the log that is not known to be in the storage: entries, and possibly a snapshot before them. Entries
 * that are being written are in progress until they are reported stable.
 *
 *     storage …  │ snapshot? │ entries in progress │ entries to write
 *                            ▲ offset              ▲ offsetInProgress
 */
export class Unstable {
  snapshot: Snapshot | undefined;
  #snapshotInProgress = false;
  #entries: Entry[] = [];
  #offset: number;
  #offsetInProgress: number;

  /** `offset` is the index after the last one in the storage. */
  constructor(
    offset: number,
    private readonly logger: RaftLogger,
  ) {
    this.#offset = offset;
    this.#offsetInProgress = offset;
  }

  /** The index of the first unstable entry, or of the next one to append. Entries from here on shadow the storage. */
  get offset(): number {
    return this.#offset;
  }

  /** Entries from `offset` up to this index (exclusive) are being written. */
  get offsetInProgress(): number {
    return this.#offsetInProgress;
  }

  get length(): number {
    return this.#entries.length;
  }

  get firstIndex(): number | undefined {
    return this.snapshot === undefined ? undefined : this.snapshot.metadata.index + 1;
  }

  get lastIndex(): number | undefined {
    if (this.#entries.length > 0) return this.#offset + this.#entries.length - 1;
    return this.snapshot?.metadata.index;
  }

  /** Returns the term of an entry; undefined if it is not unstable. */
  term(index: number): number | undefined {
    if (index >= this.#offset) return this.#entries[index - this.#offset]?.term;
    const metadata = this.snapshot?.metadata;
    return metadata?.index === index ? metadata.term : undefined;
  }

  /** Returns the entries of [lo, hi), all of which must be unstable. */
  slice(lo: number, hi: number): Entry[] {
    return this.#entries.slice(lo - this.#offset, hi - this.#offset);
  }

  get hasNextEntries(): boolean {
    return this.#offsetInProgress - this.#offset < this.#entries.length;
  }

  /** Returns the entries that are not being written yet. */
  nextEntries(): Entry[] {
    return this.#entries.slice(this.#offsetInProgress - this.#offset);
  }

  /** Returns the snapshot, unless it is being written already. */
  nextSnapshot(): Snapshot | undefined {
    return this.#snapshotInProgress ? undefined : this.snapshot;
  }

  /** Marks everything unstable as being written. */
  acceptInProgress(): void {
    this.#offsetInProgress = this.#offset + this.#entries.length;
    this.#snapshotInProgress = this.snapshot !== undefined;
  }

  /** Records that the storage has the log up to this entry; ignored if the entry is not, or no longer, unstable. */
  stableTo(id: EntryId): void {
    const term = this.term(id.index);
    if (term === undefined) {
      this.logger.info(`entry at index ${id.index} missing from unstable log; ignoring`);
    } else if (id.index < this.#offset) {
      this.logger.info(`entry at index ${id.index} matched unstable snapshot; ignoring`);
    } else if (term !== id.term) {
      // Another leader's entries replaced these while they were being written.
      this.logger.info(
        `entry at (index,term)=(${id.index},${id.term}) mismatched with entry at (${id.index},${term}) in unstable log; ignoring`,
      );
    } else {
      this.#entries = this.#entries.slice(id.index + 1 - this.#offset);
      this.#offset = id.index + 1;
      this.#offsetInProgress = Math.max(this.#offsetInProgress, this.#offset);
    }
  }

  /** Records that the storage has the snapshot of this index; ignored if the unstable snapshot is another one. */
  stableSnapshotTo(index: number): void {
    if (this.snapshot?.metadata.index !== index) return;
    this.snapshot = undefined;
    this.#snapshotInProgress = false;
  }

  /** Drops everything except this snapshot. */
  restore(snapshot: Snapshot): void {
    this.#offset = snapshot.metadata.index + 1;
    this.#offsetInProgress = this.#offset;
    this.#entries = [];
    this.snapshot = snapshot;
    this.#snapshotInProgress = false;
  }

  /** Replaces all entries from the first of the new indexes on (Raft §5.3). */
  truncateAndAppend(entries: readonly Entry[]): void {
    const from = entries[0]?.index;
    if (from === undefined) return;
    if (from === this.#offset + this.#entries.length) {
      for (const entry of entries) this.#entries.push(entry);
    } else if (from <= this.#offset) {
      this.logger.info(`replace the unstable entries from index ${from}`);
      this.#entries = [...entries];
      this.#offset = from;
      this.#offsetInProgress = from;
    } else {
      this.logger.info(`truncate the unstable entries before index ${from}`);
      this.#entries = [...this.slice(this.#offset, from), ...entries];
      // An entry that replaces one in progress must be written again.
      this.#offsetInProgress = Math.min(this.#offsetInProgress, from);
    }
  }
}
