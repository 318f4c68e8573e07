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
    onAppend: (entries: readonly StoredEntry[]) => void,
    onRetain: (removed: readonly StoredEntry[]) => void,
  ): void {
    const { append, truncateSuffix, truncatePrefix, retain, reset } = {
      append: log.append.bind(log),
      truncateSuffix: log.truncateSuffix.bind(log),
      truncatePrefix: log.truncatePrefix.bind(log),
      retain: log.retain.bind(log),
      reset: log.reset.bind(log),
    };
    log.append = (batches) => {
      const entries = batches.map(storedEntry);
      this.#entries.push(...entries);
      onAppend(entries);
      return append(batches);
    };
    log.truncateSuffix = (from) => {
      onCut(from, this.lastIndex);
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
      onRetain(this.#forgetBefore(log));
    };
    log.reset = async (boundary) => {
      onReset();
      this.#entries = [];
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
