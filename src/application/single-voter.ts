import { CorruptRangeError, ExpectedOffsetMismatchError } from '../domain/log/errors.js';
import type { HardStateFile } from '../domain/log/hard-state.js';
import type { Log } from '../domain/log/log.js';
import { type Index, type Offset, type Term, toIndex, toOffset, toTerm } from '../domain/log/offsets.js';
import { BatchKind, type Records, type Seal, sealBatch } from '../domain/log/record-batch.js';
import type { DiskReserve } from './disk-reserve.js';
import { OutcomeUnknownError, OverloadedError, UnavailableError } from './errors.js';
import { LogWriter } from './log-writer.js';
import type { Clock } from './ports/clock.js';
import type { AppendReceipt, Consensus, ProposeOptions, Server } from './ports/consensus.js';
import { repeat } from './repeat.js';
import { Watermark } from './watermark.js';

const pendingBytesMax = 32 * 1024 * 1024;
const saveCommitEveryMs = 1_000;
const retainEveryMs = 10_000;

export interface Retention {
  readonly bytesMax?: number;
  readonly ageMsMax?: number;
}

export interface SingleVoterOptions {
  readonly log: Log;
  readonly hardState: HardStateFile;
  readonly seal: Seal;
  readonly clock: Clock;
  readonly diskReserve: DiskReserve;
  readonly retention: Retention;
  readonly self: Server;
  /** Called once when the log can no longer be written; the process must end. */
  readonly onFatal: (error: unknown) => void;
}

/**
 * Consensus of one: what is on this disk is committed. Stands behind the port until Raft does, which runs the same
 * group of one by its own rules; then this file goes.
 */
export class SingleVoter implements Consensus {
  readonly #writer: LogWriter;
  readonly #watermark: Watermark;
  readonly #term: Term;
  #nextIndex: Index;
  #nextOffset: Offset;
  #durableIndex: Index;
  #refusal: UnavailableError | undefined;
  #failed = false;
  /** Of proposals that wait for a look at the disk; who comes meanwhile waits behind them. */
  #waitingBytes = 0;
  #look: Promise<void> | undefined;
  readonly #stopRepeating: (() => Promise<void>)[];

  private constructor(private readonly options: SingleVoterOptions) {
    const { log, hardState } = options;
    this.#writer = new LogWriter(log);
    this.#watermark = new Watermark(log.endOffset);
    this.#term = hardState.current.term;
    this.#nextIndex = toIndex(log.lastIndex + 1);
    this.#nextOffset = log.endOffset;
    this.#durableIndex = log.lastIndex;
    const onError = (error: unknown): void => this.#fail(error);
    this.#stopRepeating = [
      repeat(options.clock, saveCommitEveryMs, () => this.#saveCommit(), onError),
      repeat(options.clock, retainEveryMs, () => this.#retain(), onError),
    ];
  }

  /** Begins a new term, durably, and with it takes over the log as it was recovered. */
  static async start(options: SingleVoterOptions): Promise<SingleVoter> {
    const { hardState, log } = options;
    const term = toTerm(Math.max(hardState.current.term, log.lastTerm) + 1);
    const commit = toIndex(Math.max(hardState.current.commit, log.lastIndex));
    await hardState.save({ term, vote: 1, commit });
    return new SingleVoter(options);
  }

  get highWatermark(): Offset {
    return this.#watermark.value;
  }

  waitForWatermark(offset: Offset, signal: AbortSignal): Promise<void> {
    return this.#watermark.waitBeyond(offset, signal);
  }

  readBarrier(): Promise<Offset> {
    return Promise.resolve(this.highWatermark);
  }

  servers(): readonly Server[] {
    return [this.options.self];
  }

  async propose(records: Records, { expectedOffset, signal }: ProposeOptions = {}): Promise<AppendReceipt> {
    this.#assertTaking();
    if (this.#writer.pendingBytes + this.#waitingBytes >= pendingBytesMax)
      throw new OverloadedError('bytes waiting for the disk', pendingBytesMax);
    const look = this.options.diskReserve.refresh() ?? (this.#waitingBytes > 0 ? this.#look : undefined);
    if (look !== undefined) {
      this.#look = look;
      this.#waitingBytes += records.payload.length;
      await look;
      this.#waitingBytes -= records.payload.length;
      this.#assertTaking();
    }
    // No wait from here to the write: offsets are given in the order of the proposals.
    signal?.throwIfAborted();
    if (expectedOffset !== undefined && expectedOffset !== this.#nextOffset) {
      throw new ExpectedOffsetMismatchError(expectedOffset, this.#nextOffset);
    }
    this.options.log.assertAppendable();
    this.options.diskReserve.admitOrThrow(records.payload.length);

    const batch = sealBatch(
      {
        kind: BatchKind.records,
        index: this.#nextIndex,
        term: this.#term,
        baseOffset: this.#nextOffset,
        recordCount: records.count,
        appendTimeMs: this.options.clock.now(),
        payload: records.payload,
      },
      this.options.seal,
    );
    this.#nextIndex = toIndex(batch.index + 1);
    this.#nextOffset = toOffset(batch.baseOffset + batch.recordCount);
    try {
      await this.#writer.write(batch);
    } catch (error) {
      if (error instanceof CorruptRangeError) {
        // Damage found by a read since the proposal: nothing was written, nor will be.
        this.#nextIndex = toIndex(this.options.log.lastIndex + 1);
        this.#nextOffset = this.options.log.endOffset;
        throw error;
      }
      this.#fail(error);
      throw new OutcomeUnknownError('the log of this node failed while the batch was written', { cause: error });
    }
    this.#durableIndex = batch.index;
    this.#watermark.advance(toOffset(batch.baseOffset + batch.recordCount));
    const { baseOffset, recordCount, index, term } = batch;
    return { baseOffset, recordCount, index, term, syncedOn: [this.options.self.id] };
  }

  #assertTaking(): void {
    if (this.#refusal !== undefined) throw this.#refusal;
  }

  /** Refuses new proposals, lets the accepted ones finish, and notes how far the log is known to be durable. */
  async close(): Promise<void> {
    this.#refusal ??= new UnavailableError('this node is shutting down');
    this.options.diskReserve.close();
    await Promise.all(this.#stopRepeating.map((stop) => stop()));
    await this.#writer.idle();
    await this.#saveCommit();
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#refusal = new UnavailableError('the log of this node has failed; nothing was appended');
    this.options.onFatal(error);
  }

  /** Recovery tells a torn tail from lost data by this: it may lag behind what is durable, never lead. */
  async #saveCommit(): Promise<void> {
    const { hardState } = this.options;
    if (hardState.current.commit < this.#durableIndex) {
      await hardState.save({ ...hardState.current, commit: this.#durableIndex });
    }
  }

  async #retain(): Promise<void> {
    const { log, retention, clock } = this.options;
    if (retention.bytesMax === undefined && retention.ageMsMax === undefined) return;
    await this.#writer.exclusively(() => log.retain({ ...retention, now: clock.now(), upTo: this.highWatermark }));
  }
}
