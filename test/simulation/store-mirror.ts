import type { Log } from '../../src/domain/log/log.js';
import { storedEntry, type StoredEntry } from './stored-entries.js';

/** What is called when a log changes. */
export interface LogWatcher {
  /** Before the entries from `from` on are removed, up to the last one. */
  readonly cutting: (from: number, lastIndex: number) => void;
  /** Before the log is emptied. */
  readonly resetting: () => void;
  readonly appending: (entries: readonly StoredEntry[]) => void;
  /** After entries are durable; at first with those that the log was opened with. */
  readonly synced: (entries: readonly StoredEntry[]) => void;
  readonly retained: (removed: readonly StoredEntry[]) => void;
}

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
  watch(log: Log, watcher: LogWatcher): void {
    watcher.synced(this.#entries);
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
      watcher.synced(this.#entries.slice(Math.max(0, synced + 1 - this.#firstIndex), lastIndex + 1 - this.#firstIndex));
      synced = Math.max(synced, lastIndex);
    };
    log.append = (batches) => {
      const entries = batches.map(storedEntry);
      this.#entries.push(...entries);
      watcher.appending(entries);
      return append(batches);
    };
    log.truncateSuffix = (from) => {
      watcher.cutting(from, this.lastIndex);
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
      watcher.retained(this.#forgetBefore(log));
    };
    log.reset = async (boundary) => {
      watcher.resetting();
      this.#entries = [];
      synced = boundary.index - 1;
      this.#firstIndex = boundary.index;
      this.startOffset = boundary.offset;
      await reset(boundary);
    };
  }

  #forgetBefore({ startIndex, startOffset }: Log): StoredEntry[] {
    const forgotten = this.#entries.splice(0, startIndex - this.#firstIndex);
    this.#firstIndex = startIndex;
    this.startOffset = startOffset;
    this.dropping = false;
    return forgotten;
  }
}
