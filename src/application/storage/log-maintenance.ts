import type { HardStateFile } from '../../domain/log/hard-state-file.js';
import type { Log } from '../../domain/log/log.js';
import { type Index, toIndex } from '../../domain/log/offsets.js';
import type { Retention } from '../../domain/log/retention.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import type { AppendThread } from './append-thread.js';
import type { Clock } from '../ports/clock.js';
import { repeat } from '../waiting/repeat.js';

/** The saved commit index lags by at most this much, which is also what a start reads back into memory. */
const saveCommitEveryBytes = 16 * 1024 * 1024;
const saveCommitEveryMs = 1_000;
const retainEveryMs = 10_000;

export interface LogMaintenanceOptions {
  readonly log: Pick<Log, 'retain' | 'startIndex'>;
  /** The entries in memory. */
  readonly cache: { readonly applied: number; forgetBefore(index: Index): void };
  readonly hardState: Pick<HardStateFile, 'current' | 'configuration'>;
  readonly configuration: Pick<ConfigurationFile, 'at'>;
  readonly thread: AppendThread;
  /** The index of the last entry applied, and the payload bytes applied so far. */
  readonly applier: { readonly applied: number; readonly appliedBytes: number };
  readonly retention: Retention;
  readonly clock: Clock;
  /** The node, which a failure ends. */
  readonly loop: { fail(error: unknown): void };
}

/** Maintains the log: saves the commit index, and removes the segments that retention no longer keeps. */
export class LogMaintenance {
  #savedAtBytes = 0;
  readonly #stopRepeating: (() => Promise<void>)[];

  constructor(private readonly options: LogMaintenanceOptions) {
    const { clock, loop } = options;
    const onFailure = (error: unknown): void => loop.fail(error);
    this.#stopRepeating = [
      repeat(clock, saveCommitEveryMs, () => Promise.resolve(this.#saveCommit()), onFailure),
      repeat(clock, retainEveryMs, () => this.#retain(), onFailure),
    ];
  }

  /** Called when something was applied. */
  applied(): void {
    const { applier, hardState } = this.options;
    const isFar = applier.appliedBytes - this.#savedAtBytes >= saveCommitEveryBytes;
    if (isFar || this.#configured > hardState.configuration) this.#saveCommit();
  }

  /** Has the append thread save the commit index a last time. */
  async close(): Promise<void> {
    await Promise.all(this.#stopRepeating.map((stop) => stop()));
    this.#saveCommit();
  }

  /** The index of the newest configuration among what was applied. */
  get #configured(): number {
    const { configuration, applier } = this.options;
    return configuration.at(applier.applied).index;
  }

  #saveCommit(): void {
    const { hardState, applier, thread } = this.options;
    const configured = this.#configured;
    if (hardState.current.commit >= applier.applied && hardState.configuration >= configured) return;
    this.#savedAtBytes = applier.appliedBytes;
    thread.noteCommit(toIndex(applier.applied), configured);
  }

  async #retain(): Promise<void> {
    const { log, cache, retention, clock, thread } = this.options;
    if (retention.bytesMax === undefined && retention.ageMsMax === undefined) return;
    await thread.exclusively(() => log.retain({ ...retention, now: clock.now(), upTo: toIndex(cache.applied + 1) }));
    cache.forgetBefore(log.startIndex);
  }
}
