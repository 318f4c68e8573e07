import type { Log } from '../../domain/log/log.js';
import { type Index, type Offset, toIndex } from '../../domain/log/offsets.js';
import type { RecordBatch } from '../../domain/log/record-batch.js';
import type { Configuration } from '../configuration/configuration.js';
import type { Clock } from '../ports/clock.js';
import {
  type FollowFrom,
  OtherHistoryError,
  type ReplicaHandler,
  type SourceNews,
  type SourceStatus,
} from '../ports/replica-uplink.js';
import type { RaftNode } from '../raft/raft-node.js';

/** What all followers together hold of the log at a time, except that each reads at least a worthwhile amount. */
const bytesInAll = 8 << 20;
const chunkBytesMax = 1 << 20;
const chunkBytesMin = 64 << 10;
/** A replica receives an update from its source at least this often. */
const signOfLifeMs = 1_000;

export interface FollowedEntriesOptions {
  readonly node: Pick<RaftNode, 'leadership' | 'highWatermark' | 'readBarrier'>;
  readonly log: Pick<Log, 'startIndex' | 'startOffset' | 'readEntries' | 'termAt'>;
  /** This node's Raft id. */
  readonly id: number;
  /** The log id: 16 bytes. */
  readonly clusterId: Uint8Array;
  readonly clock: Clock;
}

/** What a status depends on. */
interface View {
  readonly leaderId: number;
  readonly startIndex: Index;
  readonly configuration: Configuration;
}

/** Serves a member's log to replicas: what it has committed and applied, as it is stored. */
export class FollowedEntries implements ReplicaHandler {
  #followers = 0;

  constructor(private readonly options: FollowedEntriesOptions) {}

  readBarrier(signal: AbortSignal): Promise<Offset> {
    return this.options.node.readBarrier(signal);
  }

  async *follow(from: FollowFrom, signal: AbortSignal): AsyncGenerator<SourceNews, void, void> {
    this.#followers += 1;
    try {
      yield* this.#follow(from, signal);
    } finally {
      this.#followers -= 1;
    }
  }

  async *#follow({ index, term }: FollowFrom, signal: AbortSignal): AsyncGenerator<SourceNews, void, void> {
    const { node } = this.options;
    let sent = this.#view;
    yield { batches: [], highWatermark: node.highWatermark, status: await this.#describe(sent) };
    let verified = false;
    for (let next = index; !signal.aborted;) {
      const { applied } = node.leadership.status;
      if (!verified && applied >= next - 1) {
        await this.#assertSame(toIndex(next - 1), term);
        verified = true;
      }
      const batches = applied >= next ? await this.#read(next, applied) : [];
      next = toIndex(next + batches.length);
      const status = this.#hasChanged(sent) ? await this.#describe((sent = this.#view)) : undefined;
      yield { batches, highWatermark: node.highWatermark, ...(status && { status }) };
      await this.#movement(next, sent, signal);
    }
  }

  #read(next: Index, applied: number): Promise<RecordBatch[]> {
    const share = Math.floor(bytesInAll / this.#followers);
    const bytesMax = Math.max(chunkBytesMin, Math.min(chunkBytesMax, share));
    return this.options.log.readEntries(next, { until: toIndex(applied + 1), bytesMax });
  }

  /** Logs that have an entry of the same index and term are identical up to it (Raft §5.3). */
  async #assertSame(index: Index, term: number): Promise<void> {
    const here = await this.options.log.termAt(index);
    if (here !== term)
      throw new OtherHistoryError(`entry ${index} has term ${here} at the source, but term ${term} at the replica`);
  }

  /** Resolves when there is an update to send, or when a sign of life is due. */
  #movement(next: Index, sent: View, signal: AbortSignal): Promise<void> {
    const { node, clock } = this.options;
    return new Promise((resolve) => {
      let over = signal.aborted;
      const end = (): void => {
        over = true;
        cancel();
        signal.removeEventListener('abort', end);
        resolve();
      };
      const cancel = clock.after(signOfLifeMs, end);
      signal.addEventListener('abort', end, { once: true });
      void node.leadership
        .waitUntil(() => over || node.leadership.status.applied >= next || this.#hasChanged(sent))
        .then(end);
    });
  }

  get #view(): View {
    const { leaderId, configuration } = this.options.node.leadership;
    return { leaderId, configuration, startIndex: this.options.log.startIndex };
  }

  #hasChanged(sent: View): boolean {
    const { leaderId, configuration, startIndex } = this.#view;
    return leaderId !== sent.leaderId || configuration !== sent.configuration || startIndex !== sent.startIndex;
  }

  async #describe({ leaderId, configuration, startIndex: index }: View): Promise<SourceStatus> {
    const { log, id, clusterId } = this.options;
    const { members, confState, settings } = configuration;
    const offset = log.startOffset;
    const start = { index, offset, term: await log.termAt(toIndex(index - 1)) };
    return { clusterId, start, id, leaderId, members, learners: confState.learners, settings };
  }
}
