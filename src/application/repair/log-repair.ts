import { CorruptRangeError, DiskReserveError, InvalidInputError } from '../../domain/log/errors.js';
import { ifSpace } from '../../domain/log/durable-file.js';
import type { HardStateFile } from '../../domain/log/hard-state-file.js';
import { invariant } from '../../domain/log/invariant.js';
import type { Log } from '../../domain/log/log.js';
import { type Index, type Offset, toIndex } from '../../domain/log/offsets.js';
import { follows, boundaryAfter, type LogBoundary } from '../../domain/log/log-boundary.js';
import { BatchKind, type RecordBatch, storedBytes } from '../../domain/log/record-batch.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import { isDamaged } from './damaged-node.js';
import type { DiskReserve } from '../storage/disk-reserve.js';
import { UnavailableError } from '../errors.js';
import { repairersOf } from './repair-peers.js';
import { committedEnd, describeSurvey, leadersEnd, survey } from './peer-survey.js';
import { pause } from '../waiting/pause.js';
import type { Clock } from '../ports/clock.js';
import type { EntrySource } from '../ports/entry-source.js';
import type { Logger } from '../ports/logger.js';
import type { Peer } from '../ports/peer-transport.js';
import { damageReaching, offsetOf } from './first-damage.js';
import { Backoff } from '../waiting/backoff.js';
import { LogThrottle } from '../waiting/log-throttle.js';

const backOffMsMin = 50;
const backOffMsMax = 5_000;
/** Bytes read at a time. */
const readBytes = 1 << 20;

export interface LogRepairOptions {
  readonly log: Log;
  readonly hardState: Pick<HardStateFile, 'current' | 'configuration' | 'save'>;
  readonly configuration: ConfigurationFile;
  /** This node's Raft id. */
  readonly id: number;
  readonly source: EntrySource;
  readonly diskReserve: Pick<DiskReserve, 'refresh' | 'admitOrThrow'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Repairs the end of the log of a member from its peers, before Raft starts (docs/guarantees.md, durability rule 8): the
 * active segment, and what is not known to be committed. Damage before that is left to `SegmentRepair`. Everything from
 * the first damaged entry on, and everything not known to be committed, is removed and replaced with what the cluster
 * has committed. The repair ends at the end of this log, if that is known and a member
 * has committed that much; otherwise at the end of a leader's log, observed while this node does not run Raft.
 *
 * That end is after everything that this node helped to commit (Raft §5.4.3): it acknowledged entries in no term later
 * than that of its hard state; the leader of that term has what it sent to this node, and a leader of a later term was
 * elected without this node, by a majority that overlaps every other one in a voter that still has what was committed.
 *
 * Nothing is removed before a member was found that has all of it. From then on the configuration file durably holds
 * `repairing`, so that a crash at any point leads back here.
 */
export class LogRepair {
  #progress = 'starting';
  /** Exclusive; undefined until it is known. */
  #until: number | undefined;
  /** One past the last entry that this node acknowledged; undefined if damage hides how many there were. */
  readonly #ownEnd: number | undefined;

  private constructor(
    private readonly options: LogRepairOptions,
    private from: Index,
    /** Offsets below are committed, and readable here. */
    readonly readableEnd: Offset,
  ) {
    const { hardState, configuration, log } = options;
    this.#until = configuration.stored?.repairing?.until;
    const endIsKnown = log.quarantined.every(({ toIndex: to }) => to <= log.lastIndex);
    this.#ownEnd = endIsKnown && log.lastIndex >= hardState.current.commit ? log.lastIndex + 1 : undefined;
  }

  /**
   * Returns undefined if there is nothing to repair, or no member to repair it from. Otherwise notes the damage
   * durably.
   */
  static async prepare(options: LogRepairOptions): Promise<LogRepair | undefined> {
    const { configuration, hardState, log, logger } = options;
    const { repairing, damagedFrom } = configuration.stored ?? {};
    if (repairing === undefined && repairersOf(configuration, options.id).length === 0) return undefined;
    // Undetected damage there would end each start before a reader could find it.
    await readOn(log, Math.max(hardState.current.commit + 1, log.startIndex), () => true);
    for (;;) {
      const from = firstToReplace(options);
      if (from === undefined) return undefined;
      const readableEnd = lacksCommitted(options) ? log.startOffset : await offsetOf(log, from);
      // The entry before it is damaged too, and is now known to be.
      if (readableEnd === undefined) continue;
      if (repairing === undefined && damagedFrom !== from)
        await ifSpace(() => configuration.noteDamage({ damagedFrom: from }));
      logger.warn(
        'log_repair_started',
        { fromIndex: from, lastIndex: log.lastIndex },
        'the log is damaged; this node does not vote or append until it is repaired',
      );
      return new LogRepair(options, from, readableEnd);
    }
  }

  /** The progress of the repair, for an operator. */
  get progress(): string {
    return this.#progress;
  }

  /**
   * Resolves when the node may run Raft. Retries without a time limit. Rejects with the signal's reason, with
   * `LogFailedError`, or with the error of a file: the process must then end.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.options;
    const throttle = new LogThrottle(clock);
    const backoff = new Backoff(backOffMsMin, backOffMsMax);
    for (;;) {
      signal.throwIfAborted();
      const obstacle = await this.#attempt(signal);
      if (obstacle === undefined) {
        await this.#finish();
        return;
      }
      this.#progress = obstacle;
      if (throttle.isDue())
        logger.warn('log_repair_blocked', { reason: obstacle }, 'could not repair the log; will retry');
      await pause(clock, backoff.next(), signal);
    }
  }

  /** Makes one attempt. Returns what prevented the repair; undefined if it succeeded. */
  async #attempt(signal: AbortSignal): Promise<string | undefined> {
    const { configuration, id, source, hardState } = this.options;
    const { term } = hardState.current;
    const answers = await survey(source, repairersOf(configuration, id), term, signal);
    signal.throwIfAborted();
    this.#until ??= committedEnd(answers, this.#ownEnd) ?? leadersEnd(answers, term);
    if (this.#until === undefined) return `no leader answered (${describeSurvey(answers)})`;
    const until = this.#until;
    const ahead = answers.filter(({ end }) => end !== undefined && end.commitIndex >= until - 1);
    if (ahead.length === 0) return `no member has committed entry ${until - 1} yet (${describeSurvey(answers)})`;
    const needed = this.#isCut ? this.from : Math.max(this.from - 1, this.options.log.startIndex);
    const keeping = ahead.filter(({ end }) => end !== undefined && end.startIndex <= needed);
    if (keeping.length === 0)
      return (
        `no member still stores entry ${needed} (${describeSurvey(answers)}): ` +
        'empty the data directory and rejoin as a new member'
      );
    const failures: string[] = [];
    for (const { peer, end } of keeping) {
      const failure =
        (this.#isCut ? undefined : await this.#keepShared(peer, end?.startIndex ?? 0, signal)) ??
        ((await ifSpace(() => this.#cut(until))) ? undefined : 'the disk has no space') ??
        (await this.#fetch(peer, until, signal));
      if (failure === undefined) return undefined;
      failures.push(`${peer.name}: ${failure}`);
    }
    return failures.join('; ');
  }

  /** Whether the log has been cut, by this process or one before: what is left is what the cluster has committed. */
  get #isCut(): boolean {
    const { repairing } = this.options.configuration.stored ?? {};
    return repairing !== undefined && repairing.cutFrom === undefined;
  }

  /**
   * Keeps only the entries that the peer has as well. A log that was put back from an older copy may end with entries
   * that were not committed then, below a commit index that the hard state has known since. Returns what prevented it.
   */
  async #keepShared(
    peer: Peer & { readonly name: string },
    peerStart: number,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const { log, logger } = this.options;
    try {
      let shared = Math.max(log.startIndex, peerStart) - 1;
      let last = this.from - 1;
      // All or nothing, in most cases; otherwise by bisection: logs that share an entry share all before it (Raft §5.3).
      for (let next = last; shared < last; next = Math.ceil((shared + last) / 2)) {
        if (await this.#isShared(peer, next, signal)) shared = next;
        else last = next - 1;
      }
      if (shared < peerStart && peerStart > log.startIndex)
        return `the logs differ from entry ${peerStart} on, and its log begins there`;
      if (shared + 1 < this.from)
        logger.warn(
          'log_end_not_committed',
          { peer: peer.name, fromIndex: shared + 1, lastIndex: this.from - 1 },
          'the log ends with entries that the cluster has not committed: it is an older copy; replacing them',
        );
      this.from = toIndex(shared + 1);
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof UnavailableError || error instanceof InvalidInputError) return error.message;
      throw error;
    }
  }

  async #isShared(peer: Peer, index: number, signal: AbortSignal): Promise<boolean> {
    const { log, source } = this.options;
    const term = await log.termAt(toIndex(index));
    for await (const [batch] of source.read(peer, index, index + 1, signal)) return batch?.term === term;
    throw new UnavailableError('it ended before all entries had arrived');
  }

  async #cut(until: number): Promise<void> {
    const { configuration, hardState, log, logger } = this.options;
    if (!this.#isCut) await configuration.noteDamage({ repairing: { until, cutFrom: this.from } });
    const { current } = hardState;
    // What replaces the removed entries is not known to be synced: opening the log must not assume that it is.
    if (this.from <= current.commit) await hardState.save({ ...current, commit: toIndex(this.from - 1) });
    if (this.from <= log.lastIndex || isDamaged(log)) {
      logger.warn(
        'damaged_entries_truncated',
        { fromIndex: this.from, lastIndex: log.lastIndex },
        'truncating the log before the first damaged entry',
      );
      await log.truncateSuffix(this.from);
    }
    if (configuration.stored?.repairing?.cutFrom !== undefined)
      await configuration.noteDamage({ repairing: { until } });
    this.from = toIndex(log.lastIndex + 1);
  }

  async #fetch(
    peer: Peer & { readonly name: string },
    until: number,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const { log, logger, source } = this.options;
    if (this.from >= until) return undefined;
    logger.info(
      'log_repair_fetching',
      { peer: peer.name, fromIndex: this.from, untilIndex: until },
      'fetching entries from a peer',
    );
    const entries = source.read(peer, this.from, until, signal)[Symbol.asyncIterator]();
    try {
      while (this.from < until) {
        const batches = await this.#next(entries, until);
        if (typeof batches === 'string') {
          signal.throwIfAborted();
          return batches;
        }
        await log.append(batches);
        this.from = toIndex(log.lastIndex + 1);
        this.#progress = `entries up to ${log.lastIndex} of ${until - 1} are fetched from ${peer.name}`;
        signal.throwIfAborted();
      }
      return undefined;
    } finally {
      await entries.return?.();
    }
  }

  /** Returns the next batches, which continue the log, or why there are none. */
  async #next(entries: AsyncIterator<readonly RecordBatch[]>, until: number): Promise<readonly RecordBatch[] | string> {
    const { log, diskReserve } = this.options;
    try {
      const result = await entries.next();
      if (result.done === true || result.value.length === 0) return 'it ended before all entries had arrived';
      const batches = result.value;
      let boundary: LogBoundary = { offset: log.endOffset, index: toIndex(log.lastIndex + 1), term: log.lastTerm };
      let bytes = 0;
      for (const batch of batches) {
        if (!follows(batch, boundary) || batch.index >= until) return `it sent entry ${batch.index} out of order`;
        boundary = boundaryAfter(batch);
        bytes += storedBytes(batch);
      }
      await diskReserve.refresh();
      diskReserve.admitOrThrow(bytes);
      return batches;
    } catch (error) {
      const isExpected =
        error instanceof UnavailableError || error instanceof InvalidInputError || error instanceof DiskReserveError;
      if (isExpected) return error.message;
      throw error;
    }
  }

  async #finish(): Promise<void> {
    const { configuration, hardState, log, logger } = this.options;
    const { current } = hardState;
    invariant(log.lastIndex >= current.commit, 'a repaired log has all that was known to be committed');
    await log.sync();
    const committed = await this.#committedEnd();
    if (committed > current.commit) await hardState.save({ ...current, commit: committed });
    // Damage found in the meantime is for the next start.
    const damagedFrom = Math.min(...log.quarantined.map(({ fromIndex }) => fromIndex));
    await configuration.noteDamage(damagedFrom === Infinity ? {} : { damagedFrom });
    logger.info('log_repair_finished', { lastIndex: log.lastIndex }, 'the log is repaired');
  }

  /**
   * Returns the end of what is now committed and need not be read back by the start: the end of the log, or the entry
   * before a configuration change that is not known here yet.
   */
  async #committedEnd(): Promise<Index> {
    const { configuration, hardState, log } = this.options;
    let committed = Math.max(hardState.current.commit, configuration.at(log.lastIndex).index);
    await readOn(log, committed + 1, (batches) => {
      const change = batches.findIndex(({ kind }) => kind === BatchKind.configuration);
      committed += change < 0 ? batches.length : change;
      return change < 0;
    });
    return toIndex(committed);
  }
}

/**
 * Whether the log ends before what is known to be committed. Then it may be an older copy, and it is not known how much of
 * it was committed at that time.
 */
export function lacksCommitted({ hardState, log }: Pick<LogRepairOptions, 'hardState' | 'log'>): boolean {
  return log.lastIndex < hardState.current.commit;
}

/**
 * Returns the first entry to replace; undefined: none. If nothing was removed yet, everything that is not known to be
 * committed counts: it may differ from what the cluster has at its index.
 */
function firstToReplace({ configuration, hardState, log }: LogRepairOptions): Index | undefined {
  const { repairing, damagedFrom } = configuration.stored ?? {};
  // Where Raft begins to read: what is before that is in sealed segments, and not needed.
  const isOutdated = hardState.configuration > configuration.current.index;
  const needed = Math.min(hardState.current.commit, isOutdated ? configuration.current.index : Infinity) + 1;
  const limit = Math.min(log.sealedEnd, needed);
  const known = damageReaching(log.quarantined, limit);
  if (repairing?.cutFrom !== undefined && repairing.cutFrom >= log.startIndex) known.push(repairing.cutFrom);
  // A noted entry below the log start was removed by retention.
  if (repairing === undefined && damagedFrom !== undefined && damagedFrom >= Math.max(limit, log.startIndex))
    known.push(damagedFrom);
  if (repairing === undefined && known.length === 0) return undefined;
  known.push(log.lastIndex + 1);
  if (repairing === undefined || repairing.cutFrom !== undefined) known.push(hardState.current.commit + 1);
  return toIndex(Math.max(log.startIndex, Math.min(...known)));
}

/**
 * Passes all entries from `from` on to `visit`, until it returns false or an entry turns out to be damaged, which the
 * log then knows.
 */
async function readOn(log: Log, from: number, visit: (batches: readonly RecordBatch[]) => boolean): Promise<void> {
  const until = toIndex(log.lastIndex + 1);
  try {
    for (let next = from; next < until;) {
      const batches = await log.readEntries(toIndex(next), { until, bytesMax: readBytes });
      if (!visit(batches)) return;
      next += batches.length;
    }
  } catch (error) {
    if (!(error instanceof CorruptRangeError)) throw error;
  }
}
