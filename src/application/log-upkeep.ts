import type { HardStateFile } from '../domain/log/hard-state.js';
import type { Log } from '../domain/log/log.js';
import { type Index, toIndex } from '../domain/log/offsets.js';
import type { Retention } from '../domain/log/retention.js';
import type { AppendThread } from './append-thread.js';
import type { Clock } from './ports/clock.js';
import { repeat } from './repeat.js';

/** The commit index on disk lags by at most this much, which is what a start reads back into memory. */
const saveCommitEveryBytes = 16 * 1024 * 1024;
const saveCommitEveryMs = 1_000;
const retainEveryMs = 10_000;

export interface LogUpkeepOptions {
  readonly log: Pick<Log, 'retain' | 'startIndex'>;
  /** The entries in memory. */
  readonly tail: { readonly applied: number; forgetBefore(index: Index): void };
  readonly hardState: Pick<HardStateFile, 'current'>;
  readonly thread: AppendThread;
  /** The index of the last entry applied, and the payload bytes applied so far. */
  readonly applier: { readonly applied: number; readonly appliedBytes: number };
  readonly retention: Retention;
  readonly clock: Clock;
  readonly onFailure: (error: unknown) => void;
}

/** What is done now and then: the commit index goes to disk, and what retention gives up goes. */
export class LogUpkeep {
  #savedAtBytes = 0;
  readonly #stopRepeating: (() => Promise<void>)[];

  constructor(private readonly options: LogUpkeepOptions) {
    const { clock, onFailure } = options;
    this.#stopRepeating = [
      repeat(clock, saveCommitEveryMs, () => Promise.resolve(this.#saveCommit()), onFailure),
      repeat(clock, retainEveryMs, () => this.#retain(), onFailure),
    ];
  }

  /** To be told when something was applied. */
  applied(): void {
    if (this.options.applier.appliedBytes - this.#savedAtBytes >= saveCommitEveryBytes) this.#saveCommit();
  }

  /** Has the commit index saved a last time, by the append thread. */
  async close(): Promise<void> {
    await Promise.all(this.#stopRepeating.map((stop) => stop()));
    this.#saveCommit();
  }

  #saveCommit(): void {
    const { hardState, applier, thread } = this.options;
    if (hardState.current.commit >= applier.applied) return;
    this.#savedAtBytes = applier.appliedBytes;
    thread.noteCommit(toIndex(applier.applied));
  }

  async #retain(): Promise<void> {
    const { log, tail, retention, clock, thread } = this.options;
    if (retention.bytesMax === undefined && retention.ageMsMax === undefined) return;
    await thread.exclusively(() => log.retain({ ...retention, now: clock.now(), upTo: toIndex(tail.applied + 1) }));
    tail.forgetBefore(log.startIndex);
  }
}
