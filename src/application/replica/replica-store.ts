import { InvalidInputError } from '../../domain/log/errors.js';
import type { HardStateFile } from '../../domain/log/hard-state-file.js';
import type { Log } from '../../domain/log/log.js';
import { type Index, toIndex } from '../../domain/log/offsets.js';
import { follows, type LogBoundary, boundaryAfter } from '../../domain/log/log-boundary.js';
import { type RecordBatch, storedBytes } from '../../domain/log/record-batch.js';
import type { Retention } from '../../domain/log/retention.js';
import { ClusterTime } from '../time/cluster-time.js';
import { AppendThread, type AppendWork } from '../storage/append-thread.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import { isDamaged } from '../repair/damaged-node.js';
import type { DiskReserve } from '../storage/disk-reserve.js';
import { UnavailableError } from '../errors.js';
import { DiskStall } from '../storage/disk-stall.js';
import { LogMaintenance } from '../storage/log-maintenance.js';
import type { Clock } from '../ports/clock.js';
import type { Logger } from '../ports/logger.js';
import type { FirstDamage } from '../repair/first-damage.js';
import { repeat } from '../waiting/repeat.js';
import { unlessAborted } from '../waiting/unless-aborted.js';
import { Waiters } from '../waiting/waiters.js';
import { Watermark } from '../storage/watermark.js';

/** Bytes that may wait for the disk: two groups of the append thread. */
const pendingBytesMax = 16 << 20;
/** A reader waits at most this long for the records that an earlier run of this node has shown. */
const recoveryMs = 2_000;
/** A write that takes longer is one that hangs. */
const stallMs = 1_000;
const stallTickMs = 250;

export interface ReplicaStoreOptions {
  readonly log: Log;
  readonly hardState: HardStateFile;
  readonly configuration: ConfigurationFile;
  readonly diskReserve: Pick<DiskReserve, 'refresh' | 'admitOrThrow'>;
  readonly retention: Retention;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onFailure: (error: unknown) => void;
}

/**
 * The log of a replica. Everything in it is committed, since sources send nothing else: the durable end is the high
 * watermark, at once and after a restart. Damage of the active segment, found when the log is opened, is repaired from the
 * first source that still stores the damaged entries: everything from there on is removed and fetched again, as on a
 * member. Damage in sealed segments is left to `SegmentRepair`.
 */
export class ReplicaStore {
  readonly watermark: Watermark;
  readonly #thread: AppendThread;
  readonly #maintenance: LogMaintenance;
  readonly #stall: DiskStall;
  readonly #stopTicks: () => Promise<void>;
  readonly #waiters = new Waiters();
  /** The last entry that an earlier run may have shown. */
  readonly #known: number;
  /** The latest term of the hard state, including one that is still being written. */
  #term: number;
  #next: LogBoundary;
  #appliedIndex: number;
  #appliedBytes = 0;

  /** @param damage the damage of the log, found when it was opened */
  constructor(
    private readonly options: ReplicaStoreOptions,
    private damage: FirstDamage | undefined,
  ) {
    const { log, hardState, clock, onFailure } = options;
    this.#known = Math.max(log.lastIndex, hardState.current.commit);
    this.#term = hardState.current.term;
    this.#next = endOf(log);
    this.#appliedIndex = damage === undefined ? log.lastIndex : damage.from - 1;
    this.watermark = new Watermark(damage?.readableEnd ?? log.endOffset);
    this.#stall = new DiskStall({ ...options, tickMs: stallTickMs, ticksMax: stallMs / stallTickMs });
    const owner = { groupDone: () => this.#waiters.notify(), fail: onFailure };
    this.#thread = new AppendThread(log, hardState, owner, this.#stall);
    this.#stopTicks = repeat(clock, stallTickMs, async () => this.#stall.tick(), onFailure);
    const applied = (): number => this.applied;
    this.#maintenance = new LogMaintenance({
      ...options,
      cache: {
        get applied() {
          return applied();
        },
        forgetBefore: () => undefined,
      },
      thread: this.#thread,
      applier: this,
      time: new ClusterTime(options.clock),
      // What it has was fetched, not appended: only append times tell how old it is.
      isVoter: () => false,
      loop: { fail: onFailure },
    });
  }

  /** For how many milliseconds the disk has hung; undefined: it does not. */
  get diskStalledMs(): number | undefined {
    return this.#stall.stalledMs;
  }

  /** The log boundary after all accepted entries, durable or not. */
  get next(): LogBoundary {
    return this.#next;
  }

  /** The index of the last durable entry. */
  get applied(): number {
    return this.#appliedIndex;
  }

  /** Payload bytes of the entries accepted since this was opened, once they are durable. */
  get appliedBytes(): number {
    return this.#appliedBytes;
  }

  /**
   * Accepts the next entries, to be durable soon; waits while too many bytes are not durable yet. Rejects with
   * `InvalidInputError` if they are not the next entries, with `DiskReserveError`, or with the signal's reason.
   */
  async accept(batches: readonly RecordBatch[], signal: AbortSignal): Promise<void> {
    const { diskReserve } = this.options;
    if (batches.length === 0) return;
    let boundary = this.#next;
    let bytes = 0;
    for (const batch of batches) {
      if (!follows(batch, boundary)) throw new InvalidInputError(`it sent entry ${batch.index} out of order`);
      boundary = boundaryAfter(batch);
      bytes += storedBytes(batch);
    }
    await diskReserve.refresh();
    signal.throwIfAborted();
    diskReserve.admitOrThrow(bytes);
    this.#next = boundary;
    this.#thread.enqueue({ batches, vote: this.#atLeast(boundary.term), done: () => this.#advance(boundary, bytes) });
    await unlessAborted(
      signal,
      this.#waiters.waitUntil(() => this.#thread.pendingBytes <= pendingBytesMax),
    );
  }

  /**
   * Makes the log one that the source can continue. Removes what is damaged, if the source still stores it or nothing
   * could be appended otherwise; starts a log that ends before the source's start again at that start. Resolves with
   * whether `next` has changed. Rejects with `LogFailedError`.
   */
  async fitTo(start: LogBoundary, signal: AbortSignal): Promise<boolean> {
    const before = this.#next;
    if (this.damage !== undefined) await this.#repair(this.damage.from, start);
    if (this.#next.index < start.index) {
      this.options.logger.warn(
        'log_reset',
        { index: start.index, offset: start.offset, previousOffset: this.#next.offset },
        'the source no longer has the entries that this replica lacks; restarting the log',
      );
      this.#next = start;
      this.#thread.enqueue({
        batches: [],
        reset: { boundary: start, prepare: () => Promise.resolve() },
        vote: this.#atLeast(start.term),
        done: () => this.#advance(start, 0),
      });
      await unlessAborted(
        signal,
        this.#waiters.waitUntil(() => this.#appliedIndex >= start.index - 1),
      );
    }
    return this.#next !== before;
  }

  /** Runs `task` when nothing is being written, and holds back writes until it ends. */
  exclusively<T>(task: () => Promise<T>): Promise<T> {
    return this.#thread.exclusively(task);
  }

  /** See `Consensus.recovered`. */
  async recovered(): Promise<void> {
    const isBack = (): boolean => this.#appliedIndex >= this.#known;
    if (isBack()) return;
    await this.#waiters.waitUntilOrTimeout(this.options.clock, recoveryMs, isBack);
    if (!isBack())
      throw new UnavailableError('the log of this replica is damaged, and no source has repaired it yet; retry later');
  }

  /** Resolves when everything accepted is durable, unless the log has failed. */
  async close(): Promise<void> {
    await this.#stopTicks();
    await this.#maintenance.close();
    await this.#thread.idle();
  }

  async #repair(from: Index, start: LogBoundary): Promise<void> {
    const { log, logger } = this.options;
    const canBeFetched = from >= start.index;
    await this.#thread.exclusively(async () => {
      if (canBeFetched) {
        logger.warn(
          'damaged_entries_truncated',
          { fromIndex: from, lastIndex: log.lastIndex },
          'truncating the log before the first damaged entry',
        );
        await log.truncateSuffix(from);
      }
      while (isDamaged(log)) await log.truncateSuffix(lastDamaged(log));
    });
    this.damage = undefined;
    this.#next = endOf(log);
    if (canBeFetched) return;
    this.#advance(this.#next, 0);
    this.#waiters.notify();
  }

  /** Fetched entries may have an earlier term than the hard state, whose term never decreases. */
  #atLeast(term: number): NonNullable<AppendWork['vote']> {
    this.#term = Math.max(this.#term, term);
    return { term: this.#term, vote: 0 };
  }

  #advance({ index, offset }: LogBoundary, bytes: number): void {
    this.#appliedIndex = index - 1;
    this.#appliedBytes += bytes;
    this.watermark.advance(offset);
    this.#maintenance.applied();
  }
}

function endOf({ endOffset: offset, lastIndex, lastTerm: term }: Log): LogBoundary {
  return { offset, index: toIndex(lastIndex + 1), term };
}

function lastDamaged({ quarantined, lastIndex }: Log): Index {
  return toIndex(Math.min(lastIndex + 1, Math.max(...quarantined.map(({ fromIndex }) => fromIndex))));
}
