import type { Log } from '../../domain/log/log.js';
import { type Offset, toOffset } from '../../domain/log/offsets.js';
import type { LeaderProducers } from '../../domain/log/leader-producers.js';
import type { LogBoundary } from '../../domain/log/log-boundary.js';
import type { RecordBatch } from '../../domain/log/record-batch.js';
import type { Entry } from '../../domain/raft/entry.js';
import type { Message } from '../../domain/raft/message.js';
import type { RawNode } from '../../domain/raft/raw-node.js';
import { batchOf } from './batch-entry.js';
import { configurationAfter } from '../configuration/apply-change.js';
import { isOnlyVoter } from '../configuration/configuration.js';
import type { ConfigurationFile } from '../configuration/configuration-file.js';
import type { EntryCache } from './entry-cache.js';
import type { Logger } from '../ports/logger.js';
import type { Proposals } from './proposals.js';
import type { RaftLoop } from './raft-loop.js';
import type { Watermark } from '../storage/watermark.js';

/** Bytes of applied entries held in memory for followers that lag a little. */
const tailBytesMax = 16 * 1024 * 1024;

export interface ApplierOptions {
  readonly loop: Pick<RaftLoop, 'step' | 'updatePeers' | 'fail' | 'drain'> & {
    readonly core: Pick<RawNode, 'isRestoring' | 'applyConfChange' | 'step'>;
  };
  readonly cache: Pick<EntryCache, 'firstIndex' | 'release'>;
  readonly watermark: Watermark;
  readonly proposals: Pick<Proposals, 'applied'>;
  readonly log: Pick<Log, 'startIndex'>;
  readonly configuration: Pick<ConfigurationFile, 'at' | 'add' | 'current'>;
  readonly producers: Pick<LeaderProducers<unknown>, 'apply'>;
  /** This node's Raft id. */
  readonly id: number;
  readonly logger: Logger;
}

/**
 * The apply thread: entries that are committed and durable on this node move the high watermark. Everything happens
 * synchronously, except that a configuration change is on disk before the next entry is applied.
 */
export class Applier {
  #queue: Message[] = [];
  /** The position in the first work of the queue. */
  #next = 0;
  #waiting = false;
  #applied: number;
  #appliedTerm = 0;
  #bytes = 0;

  constructor(private readonly options: ApplierOptions) {
    this.#applied = options.cache.firstIndex() - 1;
  }

  /** The index of the last entry applied. */
  get applied(): number {
    return this.#applied;
  }

  /** The term of the last entry applied since the start; 0: none. */
  get appliedTerm(): number {
    return this.#appliedTerm;
  }

  /** Payload bytes applied so far. */
  get appliedBytes(): number {
    return this.#bytes;
  }

  get highWatermark(): Offset {
    return this.options.watermark.value;
  }

  /** Does what a MsgStorageApply asks for, after all earlier work. */
  accept(work: Message): void {
    this.#queue.push(work);
    this.#run();
  }

  /** A snapshot has replaced everything before this log boundary. */
  reset({ index, offset }: LogBoundary): void {
    this.#applied = index - 1;
    this.options.watermark.advance(offset);
  }

  #run(): void {
    const { loop, cache } = this.options;
    while (this.#queue.length > 0 && !this.#waiting) {
      const [work] = this.#queue;
      while (this.#next < work.entries.length) {
        const entry = work.entries[this.#next++];
        // A snapshot covers it, or is about to.
        if (entry.index <= this.#applied || loop.core.isRestoring) continue;
        if (entry.type !== 'normal') {
          void this.#applyChange(entry);
          return;
        }
        this.#apply(batchOf(entry));
      }
      this.#queue.shift();
      this.#next = 0;
      for (const response of work.responses) loop.step(() => loop.core.step(response));
      cache.release(this.#applied, this.#isAlone ? 0 : tailBytesMax);
    }
  }

  #apply(batch: RecordBatch): void {
    this.#applied = batch.index;
    this.#appliedTerm = batch.term;
    this.options.producers.apply(batch);
    this.#bytes += batch.payload.length;
    this.options.watermark.advance(toOffset(batch.baseOffset + batch.recordCount));
  }

  async #applyChange(entry: Entry): Promise<void> {
    const { loop, configuration, log, logger, proposals } = this.options;
    this.#waiting = true;
    try {
      // A later configuration may be on disk already, from a snapshot that a crash interrupted.
      const before = configuration.at(entry.index - 1);
      const next = configurationAfter(before, entry, (change) => loop.core.applyConfChange(change));
      await configuration.add(next, log.startIndex);
      this.#applied = entry.index;
      this.#appliedTerm = entry.term;
      logger.info(
        'configuration_changed',
        { index: entry.index, members: next.members.map(({ name }) => name), settings: next.settings },
        'the cluster configuration changed',
      );
      loop.updatePeers();
      proposals.applied(batchOf(entry));
    } catch (error) {
      loop.fail(error);
      return;
    }
    this.#waiting = false;
    this.#run();
    loop.drain();
  }

  get #isAlone(): boolean {
    return isOnlyVoter(this.options.configuration.current, this.options.id);
  }
}
