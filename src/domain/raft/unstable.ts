import type { Entry } from './entry.js';
import type { EntryId } from './entry-id.js';
import type { RaftLogger } from './raft-logger.js';
import type { Snapshot } from './snapshot.js';

/**
 * The part of the log that the storage is not known to have: entries, and perhaps a snapshot before them. What was
 * handed out to be written is in progress until it is said to be stable.
 *
 *     storage …  │ snapshot? │ entries in progress │ entries to hand out
 *                            ▲ offset              ▲ offsetInProgress
 */
export class Unstable {
  snapshot: Snapshot | undefined;
  #snapshotInProgress = false;
  #entries: Entry[] = [];
  #offset: number;
  #offsetInProgress: number;

  /** `offset`: the index after the last that the storage has. */
  constructor(
    offset: number,
    private readonly logger: RaftLogger,
  ) {
    this.#offset = offset;
    this.#offsetInProgress = offset;
  }

  /** The index of the first entry here, or of the one that would be. Entries from here on shadow the storage. */
  get offset(): number {
    return this.#offset;
  }

  /** Entries before this index, and not before `offset`, are being written. */
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

  /** Undefined: not known here. */
  term(index: number): number | undefined {
    if (index >= this.#offset) return this.#entries[index - this.#offset]?.term;
    const metadata = this.snapshot?.metadata;
    return metadata?.index === index ? metadata.term : undefined;
  }

  /** The entries of [lo, hi), all of them here. */
  slice(lo: number, hi: number): Entry[] {
    return this.#entries.slice(lo - this.#offset, hi - this.#offset);
  }

  get hasNextEntries(): boolean {
    return this.#offsetInProgress - this.#offset < this.#entries.length;
  }

  /** What is not yet being written. */
  nextEntries(): Entry[] {
    return this.#entries.slice(this.#offsetInProgress - this.#offset);
  }

  /** The snapshot, unless it is being written already. */
  nextSnapshot(): Snapshot | undefined {
    return this.#snapshotInProgress ? undefined : this.snapshot;
  }

  /** All that is here is being written from now on. */
  acceptInProgress(): void {
    this.#offsetInProgress = this.#offset + this.#entries.length;
    this.#snapshotInProgress = this.snapshot !== undefined;
  }

  /** The storage has the log up to this entry; without effect where the entry is not, or no longer, here. */
  stableTo(id: EntryId): void {
    const term = this.term(id.index);
    if (term === undefined) {
      this.logger.info(`entry at index ${id.index} missing from unstable log; ignoring`);
    } else if (id.index < this.#offset) {
      this.logger.info(`entry at index ${id.index} matched unstable snapshot; ignoring`);
    } else if (term !== id.term) {
      // Another leader's entries took the place of these while they were being written.
      this.logger.info(
        `entry at (index,term)=(${id.index},${id.term}) mismatched with entry at (${id.index},${term}) in unstable log; ignoring`,
      );
    } else {
      this.#entries = this.#entries.slice(id.index + 1 - this.#offset);
      this.#offset = id.index + 1;
      this.#offsetInProgress = Math.max(this.#offsetInProgress, this.#offset);
    }
  }

  /** The storage has the snapshot of this index; without effect if another one is here. */
  stableSnapshotTo(index: number): void {
    if (this.snapshot?.metadata.index !== index) return;
    this.snapshot = undefined;
    this.#snapshotInProgress = false;
  }

  /** Forgets everything but this snapshot. */
  restore(snapshot: Snapshot): void {
    this.#offset = snapshot.metadata.index + 1;
    this.#offsetInProgress = this.#offset;
    this.#entries = [];
    this.snapshot = snapshot;
    this.#snapshotInProgress = false;
  }

  /** The entries take the place of all from the first of their indexes on (Raft §5.3). */
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
      // What replaces an entry in progress has to be written itself.
      this.#offsetInProgress = Math.min(this.#offsetInProgress, from);
    }
  }
}
