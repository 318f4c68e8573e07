import type { Log } from '../domain/log/log.js';
import type { RecordBatch } from '../domain/log/record-batch.js';

/** Bytes written under one sync; what waits beyond that goes under the next. */
const groupBytesMax = 8 * 1024 * 1024;

interface Write {
  readonly batch: RecordBatch;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The one writer of a log. Group commit: while one group is written and synced the next gathers, so that the disk
 * always has one sync in flight and each batch waits for at most two. A failed write or sync rejects all that wait, and
 * the log refuses everything after it: the process has to end (storage.md, durability rule 4).
 */
export class LogWriter {
  #queue: Write[] = [];
  #pendingBytes = 0;
  #tail: Promise<void> = Promise.resolve();
  #scheduled = false;

  constructor(private readonly log: Pick<Log, 'append' | 'sync'>) {}

  /** Bytes handed to `write` that are not durable yet. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Resolves when the batch is durable. Batches are written in the order of the calls, and resolve in it. */
  write(batch: RecordBatch): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ batch, resolve, reject });
      this.#pendingBytes += bytesOf(batch);
      if (this.#scheduled) return;
      this.#scheduled = true;
      void this.exclusively(() => this.#writeGroup());
    });
  }

  /** Runs `task` when no write is under way and holds back the writes until it ends: for truncation and retention. */
  exclusively<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#tail.then(task);
    this.#tail = run.then(
      () => undefined,
      () => undefined,
    );
    return run;
  }

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    do await this.exclusively(() => Promise.resolve());
    while (this.#queue.length > 0);
  }

  /** One group at a time, so that an exclusive task waits for one sync and not for a lull. */
  async #writeGroup(): Promise<void> {
    const group = this.#takeGroup();
    try {
      await this.log.append(group.map(({ batch }) => batch));
      await this.log.sync();
      for (const write of group) write.resolve();
    } catch (error) {
      for (const write of group) write.reject(error);
    }
    for (const { batch } of group) this.#pendingBytes -= bytesOf(batch);
    if (this.#queue.length > 0) void this.exclusively(() => this.#writeGroup());
    else this.#scheduled = false;
  }

  #takeGroup(): Write[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && (count === 0 || bytes + bytesOf(this.#queue[count].batch) <= groupBytesMax)) {
      bytes += bytesOf(this.#queue[count].batch);
      count += 1;
    }
    const group = this.#queue.slice(0, count);
    this.#queue = this.#queue.slice(count);
    return group;
  }
}

function bytesOf(batch: RecordBatch): number {
  return batch.header.length + batch.payload.length;
}
