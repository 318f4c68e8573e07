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
import type { Proposals } from './proposals.js';
import type { RaftLoop } from './raft-loop.js';

export interface EntrySealerOptions {
  readonly loop: RaftLoop;
  readonly cache: EntryCache;
  readonly thread: AppendThread;
  readonly applier: Applier;
  readonly proposals: Proposals;
  readonly log: Pick<Log, 'lastIndex' | 'endOffset' | 'lastTerm'>;
  readonly hardState: Pick<HardStateFile, 'current'>;
  readonly configuration: ConfigurationFile;
  readonly checksum: BatchChecksum;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Turns the entries that the core gives out into batches: offset, append time and checksum for the leader's own, as they
 * came for those of other leaders. Then has the append thread store them.
 */
export class EntrySealer {
  /** The log boundary after the last entry that the core has given out. */
  #end: LogBoundary;
  #lastVote: { readonly term: number; readonly vote: number };

  constructor(private readonly options: EntrySealerOptions) {
    const { log, hardState } = options;
    this.#end = { index: toIndex(log.lastIndex + 1), offset: log.endOffset, term: log.lastTerm };
    this.#lastVote = hardState.current;
  }

  /** The index of the last entry that is assigned. */
  get lastIndex(): number {
    return this.#end.index - 1;
  }

  /** The offset after it. */
  get endOffset(): Offset {
    return this.#end.offset;
  }

  /** Seals what the core accepted as a leader, before anything is sent or stored; entries of other leaders are sealed. */
  assign({ snapshot, entries }: Pick<Ready, 'snapshot' | 'entries'>): void {
    if (snapshot !== undefined) this.#end = boundaryOf(snapshot);
    if (entries.length === 0) return;
    const now = this.options.clock.now();
    for (const entry of entries) {
      entry.batch ??= this.#checksum(entry, now);
      this.#end = boundaryAfter(entry.batch);
    }
  }

  /** Has the append thread do what a MsgStorageAppend asks for. */
  store({ entries, term, vote, snapshot, responses }: Message): void {
    const { thread, cache, loop } = this.options;
    const votes = term !== 0 && (term !== this.#lastVote.term || vote !== this.#lastVote.vote);
    if (votes) this.#lastVote = { term, vote };
    const reset = snapshot && {
      place: boundaryOf(snapshot),
      prepare: () => this.#adoptConfiguration(snapshot),
    };
    thread.enqueue({
      batches: entries.map(batchOf),
      ...(votes && { vote: { term, vote } }),
      ...(reset && { reset }),
      done: () => {
        if (reset !== undefined) {
          const { index, term: before } = reset.place;
          cache.reset({ index: index - 1, term: before });
          this.#logWasReset(reset.place);
        }
        cache.append(entries);
        for (const response of responses) loop.respond(response);
      },
    });
  }

  #checksum(entry: Entry, appendTimeMs: EpochMs): RecordBatch {
    const { proposals, checksum } = this.options;
    invariant(entry.index === this.#end.index, () => `entry ${entry.index} comes where ${this.#end.index} is next`);
    const { kind, payload } = batchContentOf(entry);
    const batch = sealBatch(
      {
        kind,
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

  /** The leader no longer has what this node lacks: the log begins at its log start now, durably. */
  #logWasReset(place: LogBoundary): void {
    const { logger, applier, loop } = this.options;
    const { index, offset } = place;
    logger.warn(
      'log_reset',
      { index, offset },
      'the leader no longer has the entries that this node lacks; restarting the log',
    );
    applier.reset(place);
    loop.updatePeers();
  }

  async #adoptConfiguration({ data, metadata: { index } }: Snapshot): Promise<void> {
    await this.options.configuration.add(parseTransfer(data).configuration, index + 1);
  }
}

/** The log boundary at which a log begins that a snapshot has reset. */
function boundaryOf({ data, metadata }: Snapshot): LogBoundary {
  return {
    offset: toOffset(parseTransfer(data).offset),
    index: toIndex(metadata.index + 1),
    term: toTerm(metadata.term),
  };
}
