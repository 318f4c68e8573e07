import type {
  CommitLog,
  LogInfo,
  ReadFrom,
  ReadOptions,
  ReadResult,
} from '../../../src/application/ports/commit-log.js';
import type {
  AppendReceipt,
  OpenedProducer,
  ProducerOpening,
  ProposeOptions,
  Server,
} from '../../../src/application/ports/consensus.js';
import { ExpectedOffsetMismatchError, OffsetOutOfRangeError } from '../../../src/domain/log/errors.js';
import { toEpochMs, toIndex, toOffset, toTerm } from '../../../src/domain/log/offsets.js';
import type { RecordBatch, Records } from '../../../src/domain/log/record-batch.js';
import { BatchKind } from '../../../src/domain/log/record-batch.js';
import { sliceBatch } from '../../../src/domain/log/records.js';
import { FakeProducers } from '../fake-producers.js';

export const appendTimeMs = toEpochMs(1_700_000_000_123);

/** A commit log in memory that does as it is told. */
export class FakeCommitLog implements CommitLog {
  readonly batches: RecordBatch[] = [];
  highWatermark = toOffset(0);
  logStartOffset = toOffset(0);
  /** Thrown by the next calls, one each. */
  readonly failures: unknown[] = [];
  /** When set, appends wait for it before they resolve. */
  gate: Promise<void> | undefined;
  inFlight = 0;
  inFlightMax = 0;
  appendsBegun = 0;
  /** Follows that have not ended. */
  following = 0;
  /** Runs handed to followers. */
  runsYielded = 0;
  /** Times that a follower looked at the log. */
  polls = 0;
  lastRead: { from: ReadFrom; options: ReadOptions } | undefined;
  readonly producers = new FakeProducers();
  #wake: (() => void)[] = [];

  async openProducer(opening: ProducerOpening): Promise<OpenedProducer> {
    if (this.failures.length > 0) throw this.failures.shift();
    return this.producers.open(opening);
  }

  async closeProducer(id: string, epoch: number): Promise<void> {
    if (this.failures.length > 0) throw this.failures.shift();
    this.producers.close(id, epoch);
  }

  async append(records: Records, options?: ProposeOptions): Promise<AppendReceipt> {
    this.appendsBegun++;
    if (this.failures.length > 0) throw this.failures.shift();
    return this.producers.append(options?.producer, () => this.#append(records, options));
  }

  async #append(records: Records, options?: ProposeOptions): Promise<AppendReceipt> {
    if (options?.expectedOffset !== undefined && options.expectedOffset !== this.highWatermark)
      throw new ExpectedOffsetMismatchError(options.expectedOffset, this.highWatermark);
    const batch: RecordBatch = {
      kind: BatchKind.records,
      index: toIndex(this.batches.length + 1),
      term: toTerm(3),
      baseOffset: this.highWatermark,
      recordCount: records.count,
      appendTimeMs,
      header: new Uint8Array(),
      payload: records.payload,
    };
    this.batches.push(batch);
    this.highWatermark = toOffset(this.highWatermark + records.count);
    this.inFlight++;
    this.inFlightMax = Math.max(this.inFlightMax, this.inFlight);
    if (this.gate !== undefined) await this.gate;
    this.inFlight--;
    this.#wake.splice(0).forEach((wake) => {
      wake();
    });
    const { baseOffset, recordCount, term, index } = batch;
    return { baseOffset, recordCount, term, index, syncedOn: ['node-a', 'node-b'] };
  }

  async read(from: ReadFrom, options: ReadOptions): Promise<ReadResult> {
    this.lastRead = { from, options };
    options.signal.throwIfAborted();
    if (this.failures.length > 0) throw this.failures.shift();
    if (options.notBeforeOffset !== undefined)
      while (this.highWatermark <= options.notBeforeOffset) await this.#moved(options.signal);
    return this.#at(this.#start(from), options);
  }

  async *follow(from: ReadFrom, options: ReadOptions): AsyncGenerator<ReadResult, never, void> {
    this.lastRead = { from, options };
    if (this.failures.length > 0) throw this.failures.shift();
    this.following++;
    try {
      let next = this.#start(from);
      for (;;) {
        this.polls++;
        options.signal.throwIfAborted();
        const result = this.#at(next, options);
        const last = result.batches.at(-1);
        if (last === undefined) {
          await this.#moved(options.signal);
          if (this.failures.length > 0) throw this.failures.shift();
        } else {
          this.runsYielded++;
          yield result;
          next = last.baseOffset + last.recordCount;
        }
      }
    } finally {
      this.following--;
    }
  }

  async info(): Promise<LogInfo> {
    return this.infoNow();
  }

  infoNow(): LogInfo {
    const { logStartOffset, highWatermark } = this;
    return { logStartOffset, highWatermark, logEndOffset: highWatermark, bytes: 4096, segments: 2 };
  }

  servers(): readonly Server[] {
    return [
      { id: 'node-a', rpcAddr: '127.0.0.1:8400', isLeader: true },
      { id: 'node-b', rpcAddr: '127.0.0.1:8410', isLeader: false },
    ];
  }

  /** Wakes the followers, to meet a failure. */
  wake(): void {
    this.#wake.splice(0).forEach((wake) => {
      wake();
    });
  }

  #start(from: ReadFrom): number {
    if (from === 'earliest') return this.logStartOffset;
    if (from === 'latest') return this.highWatermark;
    if ('offset' in from) return from.offset;
    if ('last' in from) return Math.max(this.logStartOffset, this.highWatermark - from.last);
    return from.since <= appendTimeMs ? this.logStartOffset : this.highWatermark;
  }

  #at(offset: number, { maxRecords = Infinity, maxBytes = 1024 * 1024 }: ReadOptions): ReadResult {
    const { logStartOffset, highWatermark } = this;
    if (offset < logStartOffset || offset > highWatermark)
      throw new OffsetOutOfRangeError(offset, logStartOffset, highWatermark);
    const batches: RecordBatch[] = [];
    let bytes = 0;
    let records = 0;
    for (const batch of this.batches) {
      if (batch.baseOffset + batch.recordCount <= offset) continue;
      if (records >= maxRecords || (bytes > 0 && bytes + batch.payload.byteLength > maxBytes)) break;
      const cut = this.#cut(batch, offset, maxRecords - records);
      batches.push(cut);
      bytes += cut.payload.byteLength;
      records += cut.recordCount;
    }
    return { batches, logStartOffset, highWatermark };
  }

  #cut(batch: RecordBatch, offset: number, recordsMax: number): RecordBatch {
    return sliceBatch(batch, toOffset(Math.max(offset, batch.baseOffset)), recordsMax);
  }

  #moved(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#wake.push(() => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      });
      if (signal.aborted) onAbort();
    });
  }
}
