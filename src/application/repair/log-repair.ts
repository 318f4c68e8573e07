import { CorruptRangeError, DiskReserveError, InvalidInputError } from '../../domain/log/errors.js';
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
import { offsetOf } from './first-damage.js';
import { Backoff } from '../waiting/backoff.js';
import { LogThrottle } from '../waiting/log-throttle.js';

const backOffMsMin = 50;
const backOffMsMax = 5_000;
/** Read at a time. */
const readBytes = 1 << 20;
/** Damage that does not keep the node from appending is left for a later start when nobody can help for this long. */
const patienceMs = 10_000;

export interface LogRepairOptions {
  readonly log: Log;
  readonly hardState: Pick<HardStateFile, 'current' | 'save'>;
  readonly configuration: ConfigurationFile;
  /** This node's Raft id. */
  readonly id: number;
  readonly source: EntrySource;
  readonly diskReserve: Pick<DiskReserve, 'refresh' | 'admitOrThrow'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Repairs the log of a member from its peers, before Raft starts (storage.md: a quarantined range is never counted for a
 * quorum). All from the first damaged entry on, and all that is not known to be committed, goes, and what the cluster has
 * committed takes its place: up to the end of this log, where that is known and a member has committed so far; else up to
 * the end that a leader's log had once this node took no part any more.
 *
 * The latter is beyond everything that this node helped to commit (Raft §5.4.3): it acknowledged entries in no term later
 * than that of its hard state; the leader of that term has what it sent here, and one of a later term was elected without
 * this node, by a majority that meets each other one in a voter which still has what was committed.
 *
 * Nothing goes before a member was found that has it all. From then on `repairing` stands in the configuration's file,
 * durably, so that a crash at any point leads back here.
 */
export class LogRepair {
  #progress = 'it begins';
  /** Exclusive; undefined until it can be told. */
  #until: number | undefined;
  /** One past the last entry that this node acknowledged; undefined where damage hides how many there were. */
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

  /** Undefined: there is nothing to repair, or nobody to repair it from. Else the damage is noted durably. */
  static async prepare(options: LogRepairOptions): Promise<LogRepair | undefined> {
    const { configuration, hardState, log, logger } = options;
    const { repairing, damagedFrom } = configuration.stored ?? {};
    if (repairing === undefined && repairersOf(configuration, options.id).length === 0) return undefined;
    // What is damaged there would end each start before a reader could find it.
    await readOn(log, Math.max(hardState.current.commit + 1, log.startIndex), () => true);
    for (;;) {
      const from = firstToReplace(options);
      if (from === undefined) {
        if (damagedFrom !== undefined) await configuration.noteDamage({});
        return undefined;
      }
      const readableEnd = await offsetOf(log, from);
      // The entry before it is damaged as well, and known to be so now.
      if (readableEnd === undefined) continue;
      if (repairing === undefined && damagedFrom !== from) await configuration.noteDamage({ damagedFrom: from });
      logger.warn(
        'log_repair_started',
        { fromIndex: from, lastIndex: log.lastIndex },
        'the log is damaged; this node does not vote or append until it is repaired',
      );
      return new LogRepair(options, from, readableEnd);
    }
  }

  /** How far it is, for an operator. */
  get progress(): string {
    return this.#progress;
  }

  /**
   * Resolves when the node may take part. Tries for ever, but where the damage lies in sealed segments and nobody can
   * help now: then the range stays quarantined and noted for the next start. Rejects with the signal's reason, with
   * `LogFailedError`, or with the error of a file: then the process has to end.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.options;
    const beganAt = clock.now();
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
      if (!this.#mustComplete && clock.now() - beganAt >= patienceMs) {
        logger.error(
          'log_repair_abandoned',
          { reason: obstacle },
          'could not repair older segments; restart this node to try again',
        );
        return;
      }
      if (throttle.isDue())
        logger.warn('log_repair_blocked', { reason: obstacle }, 'could not repair the log; will retry');
      await pause(clock, backoff.next(), signal);
    }
  }

  get #mustComplete(): boolean {
    const { configuration, log } = this.options;
    return configuration.stored?.repairing !== undefined || isDamaged(log);
  }

  /** What keeps it from being done, if anything. */
  async #attempt(signal: AbortSignal): Promise<string | undefined> {
    const { configuration, id, source, hardState } = this.options;
    const { term } = hardState.current;
    const answers = await survey(source, repairersOf(configuration, id), term, signal);
    signal.throwIfAborted();
    this.#until ??= committedEnd(answers, this.#ownEnd) ?? leadersEnd(answers, term);
    if (this.#until === undefined) return `no leader answers (${describeSurvey(answers)})`;
    const until = this.#until;
    const ahead = answers.filter(({ end }) => end !== undefined && end.commitIndex >= until - 1);
    if (ahead.length === 0) return `nobody has committed entry ${until - 1} yet (${describeSurvey(answers)})`;
    const keeping = ahead.filter(({ end }) => end !== undefined && end.startIndex <= this.from);
    if (keeping.length === 0)
      return (
        `nobody keeps entry ${this.from} any more (${describeSurvey(answers)}): ` +
        'empty the data directory and rejoin as a new member'
      );
    await this.#cut(until);
    const failures: string[] = [];
    for (const { peer } of keeping) {
      const failure = await this.#fetch(peer, until, signal);
      if (failure === undefined) return undefined;
      failures.push(`${peer.name}: ${failure}`);
    }
    return failures.join('; ');
  }

  async #cut(until: number): Promise<void> {
    const { configuration, hardState, log, logger } = this.options;
    if (configuration.stored?.repairing === undefined)
      await configuration.noteDamage({ repairing: { until, cutFrom: this.from } });
    const { current } = hardState;
    // What takes the place of what goes is not known to be synced: opening must not take it for that.
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

  /** The next batches, which follow on the log's end, or why there are none. */
  async #next(entries: AsyncIterator<readonly RecordBatch[]>, until: number): Promise<readonly RecordBatch[] | string> {
    const { log, diskReserve } = this.options;
    try {
      const result = await entries.next();
      if (result.done === true || result.value.length === 0) return 'it ended before all had come';
      const batches = result.value;
      let place: LogBoundary = { offset: log.endOffset, index: toIndex(log.lastIndex + 1), term: log.lastTerm };
      let bytes = 0;
      for (const batch of batches) {
        if (!follows(batch, place) || batch.index >= until) return `it sent entry ${batch.index} out of place`;
        place = boundaryAfter(batch);
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
    // What was found since is for the next start.
    const damagedFrom = Math.min(...log.quarantined.map(({ fromIndex }) => fromIndex));
    await configuration.noteDamage(damagedFrom === Infinity ? {} : { damagedFrom });
    logger.info('log_repair_finished', { lastIndex: log.lastIndex }, 'the log is repaired');
  }

  /**
   * All is committed now; up to the end, or to a change of the membership that is not known here yet, it need not be read
   * back into memory by the start.
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
 * The first entry to replace; undefined: none. Where nothing was cut yet, all that is not known to be committed counts:
 * it might not be what the cluster has at its index.
 */
function firstToReplace({ configuration, hardState, log }: LogRepairOptions): Index | undefined {
  const { repairing, damagedFrom } = configuration.stored ?? {};
  const known: number[] = log.quarantined.map(({ fromIndex }) => fromIndex);
  const noted = repairing ? repairing.cutFrom : damagedFrom;
  // Below the log start it went with retention.
  if (noted !== undefined && noted >= log.startIndex) known.push(noted);
  if (repairing === undefined && known.length === 0) return undefined;
  known.push(log.lastIndex + 1);
  if (repairing === undefined || repairing.cutFrom !== undefined) known.push(hardState.current.commit + 1);
  return toIndex(Math.max(log.startIndex, Math.min(...known)));
}

/** Gives `take` all entries from `from` on, until it returns false or some are damaged: then that is known. */
async function readOn(log: Log, from: number, take: (batches: readonly RecordBatch[]) => boolean): Promise<void> {
  const until = toIndex(log.lastIndex + 1);
  try {
    for (let next = from; next < until;) {
      const batches = await log.readEntries(toIndex(next), { until, bytesMax: readBytes });
      if (!take(batches)) return;
      next += batches.length;
    }
  } catch (error) {
    if (!(error instanceof CorruptRangeError)) throw error;
  }
}
