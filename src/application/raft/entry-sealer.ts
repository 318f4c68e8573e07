import type { HardStateFile } from '../../domain/log/hard-state-file.js';
import { invariant } from '../../domain/log/invariant.js';
import type { Log } from '../../domain/log/log.js';
import { type EpochMs, type Offset, toIndex, toOffset, toTerm } from '../../domain/log/offsets.js';
import { type LogBoundary, boundaryAfter } from '../../domain/log/log-boundary.js';
import { type RecordBatch, type BatchChecksum, sealBatch } from '../../domain/log/record-batch.js';
import type { Entry } from '../../domain/raft/entry.js';
import type { Message } from '../../domain/raft/message.js';
import type { Ready } from '../../domain/raft/ready.js';
import type { Snapshot } from '../../domain/raft/snapshot.js';
import type { AppendThread } from '../storage/append-thread.js';
import type { Applier } from './applier.js';
import { batchContentOf, batchOf } from './batch-entry.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import { parseTransfer } from '../configuration/configuration-json.js';
import type { EntryCache } from './entry-cache.js';
import type { Clock } from '../ports/clock.js';
import type { Logger } from '../ports/logger.js';
import { AppendTimes } from '../time/append-times.js';
import type { ClusterTime } from '../time/cluster-time.js';
import type { Proposals } from './proposals.js';
import type { RaftLoop } from './raft-loop.js';

export interface EntrySealerOptions {
  readonly loop: RaftLoop;
  readonly cache: EntryCache;
  readonly thread: AppendThread;
  readonly applier: Applier;
  readonly proposals: Proposals;
  readonly log: Pick<Log, 'lastIndex' | 'endOffset' | 'lastTerm' | 'lastTimeMs'>;
  readonly hardState: Pick<HardStateFile, 'current'>;
  readonly configuration: ConfigurationFile;
  readonly checksum: BatchChecksum;
  readonly clock: Clock;
  readonly time: Pick<ClusterTime, 'appendClock'>;
  readonly logger: Logger;
}

/**
 * Turns the entries that the core gives out into batches: assigns offset, append time and checksum to the leader's own,
 * and keeps the batches of other leaders as they are. Then has the append thread store them.
 */
export class EntrySealer {
  /** The log boundary after the last entry that the core has given out. */
  #end: LogBoundary;
  readonly #times: AppendTimes;
  #lastVote: { readonly term: number; readonly vote: number };

  constructor(private readonly options: EntrySealerOptions) {
    const { log, hardState } = options;
    this.#end = { index: toIndex(log.lastIndex + 1), offset: log.endOffset, term: log.lastTerm };
    this.#times = new AppendTimes(log.lastTimeMs);
    this.#lastVote = hardState.current;
  }

  /** The index of the last entry with an assigned batch. */
  get lastIndex(): number {
    return this.#end.index - 1;
  }

  /** The offset after that entry. */
  get endOffset(): Offset {
    return this.#end.offset;
  }

  /**
   * Seals what the core accepted as a leader, before anything is sent or stored; entries of other leaders are already
   * sealed.
   */
  assign({ snapshot, entries }: Pick<Ready, 'snapshot' | 'entries'>): void {
    if (snapshot !== undefined) this.#end = boundaryOf(snapshot);
    if (entries.length === 0) return;
    let now: EpochMs | undefined;
    for (const entry of entries) {
      if (entry.batch === undefined) entry.batch = this.#seal(entry, (now ??= this.#appendTime()));
      else this.#times.follow(entry.batch.appendTimeMs);
      this.#end = boundaryAfter(entry.batch);
    }
  }

  #appendTime(): EpochMs {
    const { clock, time, logger } = this.options;
    const clockMs = time.appendClock();
    const { last } = this.#times;
    if (this.#times.isImplausible(clockMs))
      logger.warn(
        'log_time_ahead',
        { lastMs: last, clockMs },
        'the last append time of the log is more than a day ahead of the clock; append times go on from the clock',
      );
    return this.#times.next(clockMs, clock.now());
  }

  /** Has the append thread do what a MsgStorageAppend asks for. */
  store({ entries, term, vote, snapshot, responses }: Message): void {
    const { thread, cache, loop } = this.options;
    const votes = term !== 0 && (term !== this.#lastVote.term || vote !== this.#lastVote.vote);
    if (votes) this.#lastVote = { term, vote };
    const reset = snapshot && {
      boundary: boundaryOf(snapshot),
      prepare: () => this.#adoptConfiguration(snapshot),
    };
    thread.enqueue({
      batches: entries.map(batchOf),
      ...(votes && { vote: { term, vote } }),
      ...(reset && { reset }),
      done: () => {
        if (reset !== undefined) {
          const { index, term: before } = reset.boundary;
          cache.reset({ index: index - 1, term: before });
          this.#logWasReset(reset.boundary);
        }
        cache.append(entries);
        for (const response of responses) loop.respond(response);
      },
    });
  }

  /** Runs `task`, which must not throw, when what was given to the append thread so far is durable. */
  afterWrites(task: () => void): void {
    this.options.thread.enqueue({ batches: [], done: task });
  }

  #seal(entry: Entry, appendTimeMs: EpochMs): RecordBatch {
    const { proposals, checksum } = this.options;
    invariant(entry.index === this.#end.index, () => `entry ${entry.index} comes where ${this.#end.index} is next`);
    const { kind, prefix, payload } = batchContentOf(entry);
    const batch = sealBatch(
      {
        kind,
        prefix,
        payload,
        index: toIndex(entry.index),
        term: toTerm(entry.term),
        baseOffset: this.#end.offset,
        recordCount: proposals.recordCountOf(entry),
        appendTimeMs,
      },
      checksum,
    );
    proposals.assign(entry, batch);
    return batch;
  }

  /** The leader no longer stores what this node lacks: the log now durably starts at the leader's log start. */
  #logWasReset(boundary: LogBoundary): void {
    const { logger, applier, loop } = this.options;
    const { index, offset } = boundary;
    logger.warn(
      'log_reset',
      { index, offset },
      'the leader no longer has the entries that this node lacks; restarting the log',
    );
    applier.reset(boundary);
    loop.updatePeers();
  }

  async #adoptConfiguration({ data, metadata: { index } }: Snapshot): Promise<void> {
    await this.options.configuration.add(parseTransfer(data).configuration, index + 1);
  }
}

/** Returns the log boundary at which a log starts after a snapshot. */
function boundaryOf({ data, metadata }: Snapshot): LogBoundary {
  return {
    offset: toOffset(parseTransfer(data).offset),
    index: toIndex(metadata.index + 1),
    term: toTerm(metadata.term),
  };
}
