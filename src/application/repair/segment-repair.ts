import { isNoSpaceError } from '../../domain/log/directory.js';
import {
  CorruptRangeError,
  DiskReserveError,
  IndexOutOfRangeError,
  InvalidInputError,
  LogClosedError,
} from '../../domain/log/errors.js';
import type { Log } from '../../domain/log/log.js';
import type { LogBoundary } from '../../domain/log/log-boundary.js';
import { type Index, toIndex } from '../../domain/log/offsets.js';
import { type RecordBatch, storedBytes } from '../../domain/log/record-batch.js';
import type { DamagedStretch, StretchCopy } from '../../domain/log/stretch-copy.js';
import { UnavailableError } from '../errors.js';
import type { Clock } from '../ports/clock.js';
import type { Logger } from '../ports/logger.js';
import type { DiskReserve } from '../storage/disk-reserve.js';
import { Backoff } from '../waiting/backoff.js';
import { LogThrottle } from '../waiting/log-throttle.js';
import { repeat } from '../waiting/repeat.js';

const lookEveryMs = 1_000;
const backoffMsMax = 30_000;
/** Bytes read at a time. */
const readBytes = 1 << 20;

/** Another node that has committed entries of this log. */
export interface EntryReader {
  readonly name: string;
  /**
   * Yields committed entries from the boundary up to `until` (exclusive). Their checksums are verified; the caller checks
   * their positions. Rejects with `UnavailableError` or `InvalidInputError` if it has no such entries.
   */
  read(from: LogBoundary, until: Index, signal: AbortSignal): AsyncIterable<readonly RecordBatch[]>;
}

export interface SegmentRepairOptions {
  readonly log: Log;
  /** The last entry here that is known to be committed. */
  readonly committed: () => number;
  /** Asked in this order. */
  readonly readers: () => readonly EntryReader[];
  /** Runs a task when nothing is being written to the log, and holds back writes until it ends. */
  readonly exclusively: <T>(task: () => Promise<T>) => Promise<T>;
  readonly diskReserve: Pick<DiskReserve, 'refresh' | 'admitOrThrow'>;
  /** Called again and again while there is damage. */
  readonly onDamage?: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onFatal: (error: unknown) => void;
}

/**
 * Repairs the damage in sealed segments of a node that runs, however it was found: the damaged part is written again into
 * new files, with the entries that are good here and, for the others, those that a peer has committed. Entries at or
 * below the commit index are the same everywhere (Raft §5.4), so nothing is cut, and the node goes on to vote and to
 * serve the rest.
 */
export class SegmentRepair {
  /** What holds the repair up, or how far it is; undefined: nothing is damaged. */
  progress: string | undefined;
  readonly #stopping = new AbortController();
  readonly #backoff = new Backoff(lookEveryMs, backoffMsMax);
  readonly #throttle: LogThrottle;
  #waitMs = 0;
  readonly #stopLooking: () => Promise<void>;

  constructor(private readonly options: SegmentRepairOptions) {
    const { clock, onFatal } = options;
    this.#throttle = new LogThrottle(clock);
    this.#stopLooking = repeat(clock, lookEveryMs, () => this.#look(), onFatal);
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new UnavailableError('this node is shutting down'));
    await this.#stopLooking();
  }

  async #look(): Promise<void> {
    const { log, logger, committed, onDamage } = this.options;
    const stretch = log.damagedStretch(toIndex(committed() + 1));
    if (stretch === undefined) {
      this.progress = undefined;
      return;
    }
    onDamage?.();
    this.#waitMs -= lookEveryMs;
    if (this.#waitMs > 0) return;
    const obstacle = await this.#attempt(stretch);
    if (this.#stopping.signal.aborted) return;
    if (obstacle === undefined) {
      this.#backoff.reset();
      this.#throttle.reset();
      return;
    }
    this.#waitMs = this.#backoff.next();
    this.progress = obstacle;
    if (this.#throttle.isDue())
      logger.warn('log_repair_blocked', { reason: obstacle }, 'could not repair the log; will retry');
  }

  /** Returns what prevents the repair; undefined if it succeeded, or if the log has changed meanwhile. */
  async #attempt(stretch: DamagedStretch): Promise<string | undefined> {
    const { log, logger, exclusively } = this.options;
    const copy = log.copyStretch(stretch);
    const range = { fromIndex: stretch.from.index, untilIndex: stretch.to.index };
    try {
      while (!copy.isComplete) {
        const obstacle = (await this.#copyGood(copy)) ? undefined : await this.#fetch(copy);
        if (obstacle !== undefined) return obstacle;
        this.progress = `entries up to ${copy.next.index - 1} of ${stretch.to.index - 1} are written again`;
        if (this.#stopping.signal.aborted) return 'this node is shutting down';
      }
      await copy.finish();
      if (await exclusively(() => log.replaceStretch(copy)))
        logger.info('damaged_segment_repaired', range, 'repaired a damaged segment from the peers');
      return undefined;
    } catch (error) {
      if (error instanceof LogClosedError || error instanceof IndexOutOfRangeError) return undefined;
      if (error instanceof DiskReserveError || error instanceof InvalidInputError) return error.message;
      if (isNoSpaceError(error)) return 'the disk has no space for the repaired segment';
      throw error;
    } finally {
      await copy.discard();
    }
  }

  /** Copies the next entries that are good here. Returns false if the next one is damaged. */
  async #copyGood(copy: StretchCopy): Promise<boolean> {
    const { log } = this.options;
    try {
      const batches = await log.readEntries(copy.next.index, { until: copy.stretch.to.index, bytesMax: readBytes });
      await this.#append(copy, batches);
      return true;
    } catch (error) {
      if (error instanceof CorruptRangeError) return false;
      throw error;
    }
  }

  /** Fetches the next damaged entries. Returns what prevents that; undefined if some have arrived. */
  async #fetch(copy: StretchCopy): Promise<string | undefined> {
    const { log, readers } = this.options;
    const { next, stretch } = copy;
    const range = log.quarantined.find(({ fromIndex, toIndex: to }) => fromIndex <= next.index && next.index < to);
    const until = toIndex(Math.min(range?.toIndex ?? next.index + 1, stretch.to.index));
    const failures: string[] = [];
    for (const reader of readers()) {
      const failure = await this.#fetchFrom(reader, copy, until);
      if (failure !== undefined) failures.push(`${reader.name}: ${failure}`);
      if (copy.next.index > next.index) return undefined;
    }
    const reasons = failures.length === 0 ? 'no peer is known' : failures.join('; ');
    return `no peer has sent entry ${next.index} (${reasons})`;
  }

  /** Returns why the reader has not sent everything; undefined if it has. */
  async #fetchFrom(reader: EntryReader, copy: StretchCopy, until: Index): Promise<string | undefined> {
    const { signal } = this.#stopping;
    const entries = reader.read(copy.next, until, signal)[Symbol.asyncIterator]();
    try {
      while (copy.next.index < until) {
        // Whatever is wrong with a peer, another one may have the entries.
        const found = await entries.next().catch((error: unknown) => describe(error));
        if (typeof found === 'string') return found;
        if (found.done === true) return 'it ended before all entries had arrived';
        await this.#append(copy, found.value);
      }
      return undefined;
    } catch (error) {
      if (error instanceof InvalidInputError) return error.message;
      throw error;
    } finally {
      await entries.return?.().catch(() => undefined);
    }
  }

  async #append(copy: StretchCopy, batches: readonly RecordBatch[]): Promise<void> {
    const { diskReserve } = this.options;
    let bytes = 0;
    for (const batch of batches) bytes += storedBytes(batch);
    await diskReserve.refresh();
    diskReserve.admitOrThrow(bytes);
    await copy.append(batches);
  }
}

const describe = (error: unknown): string => (error instanceof Error ? error.message : String(error));
