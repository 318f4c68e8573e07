import type { HardStateFile } from '../../domain/log/hard-state-file.js';
import type { Log } from '../../domain/log/log.js';
import { type Index, toIndex, toOffset } from '../../domain/log/offsets.js';
import type { Retention, RetentionPolicy } from '../../domain/log/retention.js';
import type { ConfigurationBase } from '../configuration/configuration-base.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import { type ClusterSettings, differingFlags, stricterRetention } from '../configuration/cluster-settings.js';
import type { AppendThread } from './append-thread.js';
import { ClockWatch } from './clock-watch.js';
import type { Clock } from '../ports/clock.js';
import type { Logger } from '../ports/logger.js';
import type { ClusterTime } from '../time/cluster-time.js';
import { EntryAges } from '../time/entry-ages.js';
import { repeat } from '../waiting/repeat.js';

/** The saved commit index lags by at most this much, which is also what a start reads back into memory. */
const saveCommitEveryBytes = 16 * 1024 * 1024;
const saveCommitEveryMs = 1_000;
const retainEveryMs = 10_000;
/** After a power cut, damage to what was synced before this counts as rot, not as a torn tail. */
const noteSyncedEveryMs = 1_000;

export interface LogMaintenanceOptions {
  readonly log: Pick<Log, 'retain' | 'rollAfter' | 'startIndex' | 'firstAheadOf' | 'noteSynced'>;
  /** The entries in memory. */
  readonly cache: { readonly applied: number; forgetBefore(index: Index): void };
  readonly hardState: Pick<HardStateFile, 'current' | 'configuration'>;
  readonly configuration: Pick<ConfigurationFile, 'at' | 'current'>;
  /** Undefined: a replica, which has no configuration of its own. */
  readonly configurationBase?: Pick<ConfigurationBase, 'raise'>;
  readonly thread: AppendThread;
  /** The index of the last entry applied, and the payload bytes applied so far. */
  readonly applier: { readonly applied: number; readonly appliedBytes: number };
  /** This node's own limits. */
  readonly retention: Retention;
  readonly time: Pick<ClusterTime, 'retentionClock' | 'wallClockAheadMs'>;
  /** Whether what is applied here was appended recently, and not only fetched. */
  readonly isVoter: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The node, which a failure ends. */
  readonly loop: { fail(error: unknown): void };
}

/** Maintains the log: saves the commit index, and removes the segments that retention no longer keeps. */
export class LogMaintenance {
  #savedAtBytes = 0;
  /** The settings that were compared with this node's own limits. */
  #compared: ClusterSettings | undefined;
  /** The log start for which the configuration in force is noted. */
  #notedStart = 0;
  #noting = Promise.resolve();
  readonly #entryAges: EntryAges;
  readonly #clocks: ClockWatch;
  readonly #stopRepeating: (() => Promise<void>)[];

  constructor(private readonly options: LogMaintenanceOptions) {
    const { clock, loop, cache, log } = options;
    this.#entryAges = new EntryAges(cache.applied, clock.now());
    this.#clocks = new ClockWatch(options);
    const onFailure = (error: unknown): void => loop.fail(error);
    this.#updateRetention();
    this.#noteBase();
    this.#stopRepeating = [
      repeat(clock, saveCommitEveryMs, () => Promise.resolve(this.#saveCommit()), onFailure),
      repeat(clock, retainEveryMs, () => this.#retain(), onFailure),
      repeat(clock, noteSyncedEveryMs, () => log.noteSynced(), onFailure),
    ];
  }

  /** Called when something was applied. */
  applied(): void {
    const { applier, hardState } = this.options;
    this.#noteBase();
    const isFar = applier.appliedBytes - this.#savedAtBytes >= saveCommitEveryBytes;
    if (isFar || this.#configured > hardState.configuration) this.#saveCommit();
  }

  /** Has the append thread save the commit index a last time. */
  async close(): Promise<void> {
    await Promise.all(this.#stopRepeating.map((stop) => stop()));
    this.#saveCommit();
    await this.#noting;
  }

  /** Notes which configuration is in force at the log start, if the log starts later than when that was noted. */
  #noteBase(): void {
    const { log, configuration, configurationBase, loop } = this.options;
    const { startIndex } = log;
    if (configurationBase === undefined || startIndex === this.#notedStart) return;
    this.#notedStart = startIndex;
    const { index } = configuration.at(startIndex - 1);
    this.#noting = this.#noting.then(() => configurationBase.raise(index)).catch((error: unknown) => loop.fail(error));
  }

  /** The index of the newest configuration among what was applied; 0 while a release may return that cannot read it. */
  get #configured(): number {
    const { configuration, applier } = this.options;
    const { index, settings } = configuration.at(applier.applied);
    return (settings.featureLevel ?? 0) > 0 ? index : 0;
  }

  #saveCommit(): void {
    const { hardState, applier, thread } = this.options;
    const configured = this.#configured;
    if (hardState.current.commit >= applier.applied && hardState.configuration >= configured) return;
    this.#savedAtBytes = applier.appliedBytes;
    thread.noteCommit(toIndex(applier.applied), configured);
  }

  /** Returns the limits in force. A segment spans only a fraction of the age, since whole segments are removed. */
  #updateRetention(): Retention {
    const { log, retention: own, configuration, logger } = this.options;
    const { settings } = configuration.current;
    const retention = stricterRetention(own, settings);
    log.rollAfter(retention.ageMsMax === undefined ? Infinity : Math.ceil(retention.ageMsMax / 8));
    if (this.#compared === settings) return retention;
    this.#compared = settings;
    const flags = differingFlags(own, settings);
    if (flags.length > 0 && (settings.featureLevel ?? 0) > 0)
      logger.warn(
        'retention_differs',
        { flags, own, cluster: stricterRetention({}, settings), used: retention },
        'the retention of this node differs from that of the cluster; using the stricter limits',
      );
    return retention;
  }

  async #retain(): Promise<void> {
    const { log, cache, thread } = this.options;
    const retention = this.#updateRetention();
    const startOffset = toOffset(this.options.configuration.current.settings.startOffset ?? 0);
    if (retention.bytesMax === undefined && retention.ageMsMax === undefined && startOffset === 0) return;
    const now = this.options.time.retentionClock();
    this.#clocks.look(retention, now);
    const policy = {
      ...retention,
      startOffset,
      ...(now !== undefined && { now }),
      ...this.#ages(retention),
      upTo: toIndex(cache.applied + 1),
    };
    await thread.exclusively(() => log.retain(policy));
    cache.forgetBefore(log.startIndex);
    this.#noteBase();
  }

  /**
   * Returns the indexes that bound retention by age. A voter has applied what it has when it was appended, or later; what
   * others have was fetched, and only append times tell how old it is.
   */
  #ages({ ageMsMax }: Retention): Pick<RetentionPolicy, 'maybeOldUpTo' | 'surelyOldUpTo'> {
    if (ageMsMax === undefined) return {};
    const { cache, clock, isVoter } = this.options;
    const now = clock.now();
    this.#entryAges.note(cache.applied, now, ageMsMax);
    const maybeOld = isVoter() ? this.#entryAges.maybeOld(ageMsMax, now) : cache.applied;
    const surelyOld = this.#entryAges.surelyOld(ageMsMax, now);
    return { maybeOldUpTo: toIndex(maybeOld + 1), surelyOldUpTo: toIndex(surelyOld + 1) };
  }
}
