import { OffsetOutOfRangeError } from '../domain/log/errors.js';
import type { Log } from '../domain/log/log.js';
import { type Offset, toOffset } from '../domain/log/offsets.js';
import type { RecordBatch, Records } from '../domain/log/record-batch.js';
import { sliceBatch } from '../domain/log/records.js';
import type { CommitLog, LogInfo, ReadFrom, ReadOptions, ReadResult } from './ports/commit-log.js';
import { UnavailableError } from './errors.js';
import type { AppendReceipt, Consensus, ProposeOptions, Server } from './ports/consensus.js';

const bytesMaxDefault = 1024 * 1024;
/** One result holds no more than about this, however much a caller asks for. */
const bytesMaxLimit = 4 * 1024 * 1024;

/** What all followers together ask for at a time, except that each asks for at least a worthwhile amount. */
const followBytesInAll = 2 * 1024 * 1024;
const followBytesMin = 64 * 1024;

/** Appends through consensus; reads committed records from this node's own log. */
export class CommitLogService implements CommitLog {
  #followers = 0;
  /** Whether the last attempt to learn the committed end found no leader. */
  #recoveryFailed = false;

  constructor(
    private readonly consensus: Consensus,
    private readonly log: Log,
  ) {}

  append(records: Records, options?: ProposeOptions): Promise<AppendReceipt> {
    return this.consensus.propose(records, options);
  }

  async read(from: ReadFrom, options: ReadOptions): Promise<ReadResult> {
    await this.#awaitReadable(from, options);
    const offset = await this.#offsetOf(from);
    await options.beforeReading?.();
    return this.#readAt(offset, options);
  }

  async *follow(from: ReadFrom, options: ReadOptions): AsyncGenerator<ReadResult, never, void> {
    this.#followers += 1;
    try {
      await this.#awaitReadable(from, options);
      let next = await this.#offsetOf(from);
      let ahead: Promise<ReadResult> | undefined = this.#followOn(next, options);
      for (;;) {
        const result: ReadResult = await (ahead ?? this.#followOn(next, options));
        ahead = undefined;
        const last = result.batches.at(-1);
        if (last !== undefined) {
          next = endOf(last);
          if (next < this.consensus.highWatermark) {
            // Read while this result is sent. A consumer that leaves never asks for it or for its failure.
            ahead = this.#followOn(next, options);
            ahead.catch(() => undefined);
          }
          yield result;
        }
        if (ahead === undefined) await this.consensus.waitForWatermark(next, options.signal);
      }
    } finally {
      this.#followers -= 1;
    }
  }

  async info(signal: AbortSignal): Promise<LogInfo> {
    await this.consensus.recovered(signal);
    return this.infoNow();
  }

  infoNow(): LogInfo {
    const { startOffset, endOffset, bytes, segments } = this.log;
    return {
      logStartOffset: startOffset,
      highWatermark: this.consensus.highWatermark,
      logEndOffset: endOffset,
      bytes,
      segments,
    };
  }

  servers(): readonly Server[] {
    return this.consensus.servers();
  }

  /** Reads one result of a follow: the more followers there are, the smaller each result. */
  #followOn(offset: Offset, options: ReadOptions): Promise<ReadResult> {
    const share = Math.max(followBytesMin, Math.min(bytesMaxDefault, followBytesInAll / this.#followers));
    return this.#readAt(offset, { ...options, maxBytes: Math.min(options.maxBytes ?? share, share) });
  }

  async #awaitReadable(from: ReadFrom, { signal, linearizable, notBeforeOffset }: ReadOptions): Promise<void> {
    signal.throwIfAborted();
    const isBelowWatermark = typeof from === 'object' && 'offset' in from && from.offset < this.consensus.highWatermark;
    await this.#awaitRecovery(isBelowWatermark, signal);
    if (linearizable === true) {
      const barrier = await this.consensus.readBarrier(signal);
      if (barrier > 0) await this.consensus.waitForWatermark(toOffset(barrier - 1), signal);
    }
    if (notBeforeOffset !== undefined) await this.consensus.waitForWatermark(notBeforeOffset, signal);
  }

  /**
   * Waits so that no result names an older watermark than one shown before (I7). Records below the watermark are
   * certainly committed and need no leader: they are served even if no leader is found.
   */
  async #awaitRecovery(isBelowWatermark: boolean, signal: AbortSignal): Promise<void> {
    if (isBelowWatermark && this.#recoveryFailed) return;
    try {
      await this.consensus.recovered(signal);
      this.#recoveryFailed = false;
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      this.#recoveryFailed = true;
      if (!isBelowWatermark) throw error;
    }
  }

  async #offsetOf(from: ReadFrom): Promise<Offset> {
    const { startOffset } = this.log;
    const { highWatermark } = this.consensus;
    if (from === 'earliest') return startOffset;
    if (from === 'latest') return highWatermark;
    if ('offset' in from) return from.offset;
    if ('last' in from) return toOffset(Math.max(startOffset, highWatermark - from.last));
    return toOffset(Math.min(await this.log.offsetSince(from.since), highWatermark));
  }

  async #readAt(offset: Offset, { signal, maxRecords, maxBytes }: ReadOptions): Promise<ReadResult> {
    signal.throwIfAborted();
    const logStartOffset = this.log.startOffset;
    const { highWatermark } = this.consensus;
    if (offset < logStartOffset || offset > highWatermark) {
      throw new OffsetOutOfRangeError(offset, logStartOffset, highWatermark);
    }
    if (offset === highWatermark) return { batches: [], logStartOffset, highWatermark };
    const bytesMax = Math.min(maxBytes ?? bytesMaxDefault, bytesMaxLimit);
    const stored = await this.log.read(offset, { until: highWatermark, bytesMax });
    return { batches: cut(stored, offset, maxRecords ?? Infinity), logStartOffset, highWatermark };
  }
}

function endOf(batch: RecordBatch): Offset {
  return toOffset(batch.baseOffset + batch.recordCount);
}

/** Returns the batches cut to begin at `offset` and to hold at most `recordsMax` records in all. */
function cut(batches: readonly RecordBatch[], offset: Offset, recordsMax: number): RecordBatch[] {
  const result: RecordBatch[] = [];
  let remaining = recordsMax;
  for (const batch of batches) {
    if (remaining <= 0) break;
    const from = toOffset(Math.max(offset, batch.baseOffset));
    const whole = from === batch.baseOffset && batch.recordCount <= remaining;
    const part = whole ? batch : sliceBatch(batch, from, remaining);
    result.push(part);
    remaining -= part.recordCount;
  }
  return result;
}
