import type { Log } from '../../src/domain/log/log.js';
import { storedEntry, type StoredEntry } from './stored-entries.js';

/** The log of one process, followed from outside: what `Log` holds, without waiting for a disk. */
export class StoreMirror {
  #entries: StoredEntry[];
  #firstIndex: number;
  /** The start of the log. */
  startOffset: number;
  /** Whether files are being removed: some entries still counted here may no longer exist. */
  dropping = false;

  constructor(entries: readonly StoredEntry[], log: Log) {
    this.#firstIndex = log.startIndex;
    this.startOffset = log.startOffset;
    this.#entries = entries.filter(({ index }) => index >= log.startIndex && index <= log.lastIndex);
  }

  get firstIndex(): number {
    return this.#firstIndex;
  }

  get lastIndex(): number {
    return this.#firstIndex + this.#entries.length - 1;
  }

  at(index: number): StoredEntry | undefined {
    return this.#entries[index - this.#firstIndex];
  }

  /** Observes all changes to the log from here on. */
  watch(
    log: Log,
    onCut: (from: number, lastIndex: number) => void,
    onReset: () => void,
    onSync: (entries: readonly StoredEntry[]) => void,
  ): void {
    onSync(this.#entries);
    let synced = this.lastIndex;
    const { sync, append, truncateSuffix, truncatePrefix, retain, reset } = {
      sync: log.sync.bind(log),
      append: log.append.bind(log),
      truncateSuffix: log.truncateSuffix.bind(log),
      truncatePrefix: log.truncatePrefix.bind(log),
      retain: log.retain.bind(log),
      reset: log.reset.bind(log),
    };
    log.sync = async () => {
      const { lastIndex } = this;
      await sync();
      onSync(this.#entries.slice(Math.max(0, synced + 1 - this.#firstIndex), lastIndex + 1 - this.#firstIndex));
      synced = Math.max(synced, lastIndex);
    };
    log.append = (batches) => {
      for (const batch of batches) this.#entries.push(storedEntry(batch));
      return append(batches);
    };
    log.truncateSuffix = (from) => {
      onCut(from, this.lastIndex);
      synced = Math.min(synced, from - 1);
      this.#entries.splice(Math.max(0, from - this.#firstIndex));
      return truncateSuffix(from);
    };
    log.truncatePrefix = async (before) => {
      this.dropping = true;
      await truncatePrefix(before);
      this.#forgetBefore(log);
    };
    log.retain = async (policy) => {
      this.dropping = true;
      await retain(policy);
      this.#forgetBefore(log);
    };
    log.reset = async (boundary) => {
      onReset();
      this.#entries = [];
      synced = boundary.index - 1;
      this.#firstIndex = boundary.index;
      this.startOffset = boundary.offset;
      await reset(boundary);
    };
  }

  #forgetBefore({ startIndex, startOffset }: Log): void {
    this.#entries.splice(0, startIndex - this.#firstIndex);
    this.#firstIndex = startIndex;
    this.startOffset = startOffset;
    this.dropping = false;
  }
}
