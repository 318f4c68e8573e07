import { OffsetOutOfRangeError } from '../domain/log/errors.js';
import type { Log } from '../domain/log/log.js';
import { type Offset, toOffset } from '../domain/log/offsets.js';
import type { RecordBatch, Records } from '../domain/log/record-batch.js';
import { sliceBatch } from '../domain/log/records.js';
import type { ClusterSettings } from './configuration/cluster-settings.js';
import type { CommitLog, LogInfo, ReadFrom, ReadOptions, ReadResult } from './ports/commit-log.js';
import { UnavailableError } from './errors.js';
import type {
  AppendReceipt,
  Consensus,
  OpenedProducer,
  ProducerOpening,
  ProposeOptions,
  Server,
} from './ports/consensus.js';
import { type Reading, SharedReads } from './shared-reads.js';

const bytesMaxDefault = 1024 * 1024;
/** One result holds no more than about this, however much a caller asks for. */
const bytesMaxLimit = 4 * 1024 * 1024;

/** What all followers together ask for at a time, except that each asks for at least a worthwhile amount. */
const followBytesInAll = 2 * 1024 * 1024;
const followBytesMin = 64 * 1024;

/** The size that a batch is assumed to have until a larger one was read. */
const batchBytesUsual = 1024 * 1024;

/** Appends through consensus; reads committed records from this node's own log. */
export class CommitLogService implements CommitLog {
  #followers = 0;
  readonly #sharedReads = new SharedReads();
  /** Whether the last attempt to learn the committed end found no leader. */
  #recoveryFailed = false;
  /** However little is asked for, a read is of one batch at least. */
  #batchBytesMax = batchBytesUsual;

  constructor(
    private readonly consensus: Consensus,
    private readonly log: Log,
    private readonly configuration: { readonly current: { readonly settings: Pick<ClusterSettings, 'startOffset'> } },
  ) {}

  append(records: Records, options?: ProposeOptions): Promise<AppendReceipt> {
    return this.consensus.propose(records, options);
  }

  openProducer(opening: ProducerOpening): Promise<OpenedProducer> {
    return this.consensus.openProducer(opening);
  }

  closeProducer(id: string, epoch: number): Promise<void> {
    return this.consensus.closeProducer(id, epoch);
  }

  async read(from: ReadFrom, options: ReadOptions): Promise<ReadResult> {
    await this.#awaitReadable(from, options);
    const offset = await this.#offsetOf(from);
    const { result, storedBytes } = await this.#reserveAndRead(offset, options);
    const wanted = { ...result, batches: appendedSince(from, result.batches) };
    // What was cut off is not held any more.
    options.memory?.correct(payloadBytes(wanted) - storedBytes);
    return wanted;
  }

  async *follow(from: ReadFrom, options: ReadOptions): AsyncGenerator<ReadResult, never, void> {
    this.#followers += 1;
    try {
      await this.#awaitReadable(from, options);
      let next = await this.#offsetOf(from);
      let since = from;
      let ahead: Promise<Reading> | undefined;
      for (;;) {
        const { result, storedBytes } = await (ahead ?? this.#readAsOthers(next, this.#shared(options)));
        ahead = undefined;
        const last = result.batches.at(-1);
        if (last !== undefined) {
          next = endOf(last);
          if (next < this.consensus.highWatermark) {
            // Read while this result is sent. A consumer that leaves never asks for it, or for its failure.
            ahead = this.#readAhead(next, this.#shared(options));
            ahead?.catch(() => undefined);
          }
          const batches = appendedSince(since, result.batches);
          if (batches.length > 0) {
            since = 'earliest';
            yield batches === result.batches ? result : { ...result, batches };
          }
          options.memory?.correct(-storedBytes);
        }
        if (ahead === undefined) await this.consensus.waitForWatermark(next, options.signal);
      }
    } finally {
      this.#followers -= 1;
    }
  }

  async info(signal: AbortSignal): Promise<LogInfo> {
    await this.consensus.recovered(signal);
    await this.consensus.acknowledgedEnd(signal);
    return this.infoNow();
  }

  infoNow(): LogInfo {
    const { endOffset, bytes, segments } = this.log;
    return {
      logStartOffset: this.#startOffset,
      highWatermark: this.consensus.highWatermark,
      logEndOffset: endOffset,
      bytes,
      segments,
    };
  }

  servers(): readonly Server[] {
    return this.consensus.servers();
  }

  /** Where the log starts for readers: segments that `TruncateLog` cuts in the middle are still stored. */
  get #startOffset(): Offset {
    const { startOffset = 0 } = this.configuration.current.settings;
    return toOffset(Math.max(this.log.startOffset, Math.min(startOffset, this.consensus.highWatermark)));
  }

  /** Returns the options for one result of a follow: the more followers there are, the smaller each result. */
  #shared(options: ReadOptions): ReadOptions {
    const share = Math.max(followBytesMin, Math.min(bytesMaxDefault, followBytesInAll / this.#followers));
    return { ...options, maxBytes: Math.min(options.maxBytes ?? share, share) };
  }

  async #reserveAndRead(offset: Offset, options: ReadOptions): Promise<Reading> {
    const reserved = this.#bytesToReserve(options);
    await options.memory?.reserve(reserved, options.signal);
    return this.#readReserved(offset, options, reserved);
  }

  /** As `#reserveAndRead`, with the result of another follower that reads the same. */
  async #readAsOthers(offset: Offset, options: ReadOptions): Promise<Reading> {
    const { memory, signal, maxBytes = bytesMaxDefault } = options;
    const range = { offset, until: this.consensus.highWatermark, bytesMax: maxBytes };
    const isShareable = options.maxRecords === undefined && offset >= this.#startOffset && offset < range.until;
    const joined = isShareable ? this.#sharedReads.join(range) : undefined;
    const shared = joined && (await joined);
    if (shared !== undefined && offset >= this.#startOffset) {
      await memory?.reserve(shared.storedBytes, signal);
      signal.throwIfAborted();
      const logStartOffset = this.#startOffset;
      return logStartOffset === shared.result.logStartOffset
        ? shared
        : { ...shared, result: { ...shared.result, logStartOffset } };
    }
    // Its messages are made before others are read.
    const reserved = 2 * this.#bytesToReserve(options);
    const waits = memory?.reserve(reserved, signal);
    // Without a pause, or those that wake at the same time would find nothing to join.
    if (waits !== undefined) await waits;
    const reading = this.#readReserved(offset, options, reserved);
    if (isShareable) this.#sharedReads.share(range, reading);
    return reading;
  }

  /** Undefined when there is no space for another result beside the one that is there. */
  #readAhead(offset: Offset, options: ReadOptions): Promise<Reading> | undefined {
    const reserved = this.#bytesToReserve(options);
    if (options.memory?.tryReserve(reserved) === false) return undefined;
    return this.#readReserved(offset, options, reserved);
  }

  #bytesToReserve({ maxBytes }: ReadOptions): number {
    return Math.max(Math.min(maxBytes ?? bytesMaxDefault, bytesMaxLimit), this.#batchBytesMax);
  }

  /** Reads, and leaves in the memory of the call what was read. */
  async #readReserved(offset: Offset, options: ReadOptions, reserved: number): Promise<Reading> {
    let reading: Reading | undefined;
    try {
      reading = await this.#readAt(offset, options);
      return reading;
    } finally {
      options.memory?.correct((reading?.storedBytes ?? 0) - reserved);
    }
  }

  async #awaitReadable(from: ReadFrom, { signal, linearizable, notBeforeOffset }: ReadOptions): Promise<void> {
    signal.throwIfAborted();
    const { highWatermark } = this.consensus;
    const isBelowWatermark = typeof from === 'object' && 'offset' in from && from.offset < highWatermark;
    const isCommitted = isBelowWatermark || (from === 'earliest' && this.#startOffset < highWatermark);
    await this.#awaitRecovery(isCommitted, signal);
    if (!isBelowWatermark) await this.#awaitAcknowledged(from, signal);
    if (linearizable === true) {
      const barrier = await this.consensus.readBarrier(signal);
      if (barrier > 0) await this.consensus.waitForWatermark(toOffset(barrier - 1), signal);
    }
    if (notBeforeOffset !== undefined) await this.consensus.waitForWatermark(notBeforeOffset, signal);
  }

  /** Waits so that what this node acknowledged can be read here. Rejects where that needs a disk that hangs. */
  async #awaitAcknowledged(from: ReadFrom, signal: AbortSignal): Promise<void> {
    const end = await this.consensus.acknowledgedEnd(signal);
    const { highWatermark } = this.consensus;
    if (typeof from === 'string' || !('offset' in from) || from.offset < highWatermark || from.offset >= end) return;
    throw new UnavailableError(
      'the record is acknowledged and not on the disk of this node yet: read it at another node',
    );
  }

  /**
   * Waits so that no result names an older watermark than one shown before (I7). Records below the watermark are
   * certainly committed and need no leader: they are served even if no leader is found.
   */
  async #awaitRecovery(isCommitted: boolean, signal: AbortSignal): Promise<void> {
    if (isCommitted && this.#recoveryFailed) return;
    try {
      await this.consensus.recovered(signal);
      this.#recoveryFailed = false;
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      this.#recoveryFailed = true;
      if (!isCommitted) throw error;
    }
  }

  async #offsetOf(from: ReadFrom): Promise<Offset> {
    const startOffset = this.#startOffset;
    const { highWatermark } = this.consensus;
    if (from === 'earliest') return startOffset;
    if (from === 'latest') return highWatermark;
    if ('offset' in from) return from.offset;
    if ('last' in from) return toOffset(Math.max(startOffset, highWatermark - from.last));
    const since = await this.log.offsetSince(from.since);
    return toOffset(Math.max(this.#startOffset, Math.min(since, highWatermark)));
  }

  async #readAt(offset: Offset, { signal, maxRecords, maxBytes }: ReadOptions): Promise<Reading> {
    signal.throwIfAborted();
    const logStartOffset = this.#startOffset;
    const { highWatermark } = this.consensus;
    // What is lost at the end of the log is not out of range.
    if (offset >= highWatermark) this.log.assertReadable(offset);
    if (offset < logStartOffset || offset > highWatermark) {
      throw new OffsetOutOfRangeError(offset, logStartOffset, highWatermark);
    }
    if (offset === highWatermark) return { result: { batches: [], logStartOffset, highWatermark }, storedBytes: 0 };
    const bytesMax = Math.min(maxBytes ?? bytesMaxDefault, bytesMaxLimit);
    const stored = await this.log.read(offset, { until: highWatermark, bytesMax });
    let storedBytes = 0;
    for (const { payload } of stored) {
      storedBytes += payload.length;
      this.#batchBytesMax = Math.max(this.#batchBytesMax, payload.length);
    }
    return {
      result: { batches: cut(stored, offset, maxRecords ?? Infinity), logStartOffset, highWatermark },
      storedBytes,
    };
  }
}

/**
 * Returns the batches from the first one that was appended at or after the time that a read starts at. Such a batch may
 * not exist when the read begins, while others are appended before that time.
 */
function appendedSince(from: ReadFrom, batches: readonly RecordBatch[]): readonly RecordBatch[] {
  if (typeof from === 'string' || !('since' in from)) return batches;
  const first = batches.findIndex(({ appendTimeMs }) => appendTimeMs >= from.since);
  return first === -1 ? [] : batches.slice(first);
}

function payloadBytes({ batches }: ReadResult): number {
  return batches.reduce((bytes, { payload }) => bytes + payload.length, 0);
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
