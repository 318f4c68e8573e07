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
import { type Offset, toEpochMs, toIndex, toOffset, toTerm } from '../../../src/domain/log/offsets.js';
import { BatchKind, type RecordBatch, type Records } from '../../../src/domain/log/record-batch.js';
import { sliceBatch } from '../../../src/domain/log/records.js';
import { FakeProducers } from '../fake-producers.js';

/** 2026-01-31T12:00:00.250Z, and a millisecond more for each batch. */
export const firstAppendMs = 1_769_860_800_250;

/** A log in an array, with handles for what a test wants to happen. */
export class FakeCommitLog implements CommitLog {
  readonly batches: RecordBatch[] = [];
  logStartOffset: Offset = toOffset(0);
  /** Thrown by the next calls, until unset. */
  failure: Error | undefined;
  /** Appends wait for it. */
  gate: Promise<void> = Promise.resolve();
  openFollows = 0;
  readonly producers = new FakeProducers();
  /** Batches that follows have handed out. */
  followed = 0;
  /** One past the last record that was written; it is readable once its append is acknowledged. */
  #end = 0;
  #watermark = 0;
  #waiters = new Set<() => void>();

  async openProducer(opening: ProducerOpening): Promise<OpenedProducer> {
    if (this.failure !== undefined) throw this.failure;
    return this.producers.open(opening);
  }

  async closeProducer(id: string, epoch: number): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    this.producers.close(id, epoch);
  }

  async append(records: Records, options: ProposeOptions = {}): Promise<AppendReceipt> {
    if (this.failure !== undefined) throw this.failure;
    return this.producers.append(options.producer, () => this.#append(records, options));
  }

  async #append(records: Records, { expectedOffset }: ProposeOptions): Promise<AppendReceipt> {
    if (expectedOffset !== undefined && expectedOffset !== this.#end)
      throw new ExpectedOffsetMismatchError(expectedOffset, toOffset(this.#end));
    const { prefix, payload, count } = records;
    const place = this.batches.length;
    const batch: RecordBatch = {
      kind: BatchKind.records,
      index: toIndex(place + 1),
      term: toTerm(3),
      baseOffset: toOffset(this.#end),
      recordCount: count,
      appendTimeMs: toEpochMs(firstAppendMs + place),
      header: new Uint8Array(0),
      prefix,
      payload,
    };
    this.batches.push(batch);
    this.#end += count;
    await this.gate;
    this.#watermark = Math.max(this.#watermark, batch.baseOffset + count);
    for (const wake of this.#waiters) wake();
    return {
      baseOffset: batch.baseOffset,
      recordCount: count,
      term: batch.term,
      index: batch.index,
      syncedOn: ['fake-1'],
    };
  }

  async read(
    from: ReadFrom,
    { maxRecords = Infinity, maxBytes = 0, signal, memory }: ReadOptions,
  ): Promise<ReadResult> {
    if (this.failure !== undefined) throw this.failure;
    signal.throwIfAborted();
    const start = this.#startOf(from);
    await memory?.reserve(maxBytes, signal);
    if (start < this.logStartOffset || start > this.#watermark)
      throw new OffsetOutOfRangeError(start, this.logStartOffset, toOffset(this.#watermark));
    const readable = this.batches.filter(({ baseOffset }) => baseOffset < this.#watermark);
    const first = readable.findIndex(({ baseOffset, recordCount }) => baseOffset + recordCount > start);
    const found = first < 0 ? [] : readable.slice(first, first + 4);
    const batches: RecordBatch[] = [];
    let room = maxRecords;
    for (const batch of found) {
      if (room <= 0) break;
      const part = sliceBatch(batch, start, room);
      batches.push(part);
      room -= part.recordCount;
    }
    return Promise.resolve({
      batches,
      logStartOffset: this.logStartOffset,
      highWatermark: toOffset(this.#watermark),
    });
  }

  async *follow(from: ReadFrom, options: ReadOptions): AsyncGenerator<ReadResult, never, void> {
    this.openFollows += 1;
    try {
      let next = this.#startOf(from);
      for (;;) {
        const result = await this.read({ offset: next }, options);
        const last = result.batches.at(-1);
        if (last !== undefined) {
          next = toOffset(last.baseOffset + last.recordCount);
          this.followed += result.batches.length;
          yield result;
        } else await this.#appended(options.signal);
      }
    } finally {
      this.openFollows -= 1;
    }
  }

  #appended(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#waiters.delete(settle);
        signal.removeEventListener('abort', settle);
        if (signal.aborted) reject(signal.reason as Error);
        else resolve();
      };
      this.#waiters.add(settle);
      signal.addEventListener('abort', settle);
    });
  }

  #startOf(from: ReadFrom): Offset {
    if (from === 'earliest') return this.logStartOffset;
    if (from === 'latest') return toOffset(this.#watermark);
    if ('offset' in from) return from.offset;
    if ('last' in from) return toOffset(Math.max(this.logStartOffset, this.#watermark - from.last));
    return this.batches.find(({ appendTimeMs }) => appendTimeMs >= from.since)?.baseOffset ?? toOffset(this.#watermark);
  }

  async info(): Promise<LogInfo> {
    return this.infoNow();
  }

  infoNow(): LogInfo {
    return {
      logStartOffset: this.logStartOffset,
      highWatermark: toOffset(this.#watermark),
      logEndOffset: toOffset(this.#end),
      bytes: 4_096,
      segments: 2,
    };
  }

  servers(): readonly Server[] {
    return [{ id: 'fake-1', rpcAddr: '127.0.0.1:8400', isLeader: true }];
  }
}
