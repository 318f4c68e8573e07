import type { Log } from '../../domain/log/log.js';
import { type Index, toIndex } from '../../domain/log/offsets.js';
import { storedBytes } from '../../domain/log/record-batch.js';
import { type Message, message } from '../../domain/raft/message.js';
import { entryOfBatch } from './batch-entry.js';

/** Entries in one message. */
const chunkBytes = 1024 * 1024;
/** Sent and not yet acknowledged. */
const windowBytes = 16 * 1024 * 1024;
/**
 * Appends go first: while the log grows, a tick sends no more than so many times what the log grew by in the tick
 * before, or the least where that is more. For the first ticks that is less than the log grows by, so that the leader
 * keeps three quarters of its pace; after them it is more, so that the follower gets there whatever is appended.
 */
const patientTicks = 600;
const patientMultiple = 0.6;
const growthMultiple = 1.5;
const bytesPerTickMin = 2 * 1024 * 1024;
/** Without an acknowledgement for this long what was sent counts as lost. */
const resendTicks = 10;

export interface CatchUpOptions {
  readonly log: Pick<Log, 'startIndex' | 'lastIndex' | 'bytes' | 'readEntries' | 'termAt'>;
  readonly from: number;
  readonly to: number;
  /** Of this leader; the catch-up is void in any other. */
  readonly term: number;
  /** The highest index known to match, 0 for none. */
  readonly match: number;
  /** Of this node, now. */
  readonly commit: () => number;
  readonly send: (sent: Message) => void;
  /** The message that makes the follower's log begin where this node's does. */
  readonly snapshot: () => Promise<Message>;
  readonly onFailure: (error: unknown) => void;
}

/**
 * Brings a follower whose next entry is no longer in memory up to the tail: reads stored batches and sends them as
 * ordinary appends (Raft figure 2), so that the follower needs no code for it and writes the same bytes. A follower
 * behind the log start is told the new start first. It stands for the snapshot that the core asked to be sent, and ends
 * when the core's own replication can take over.
 */
export class CatchUp {
  /** The next entry to send; undefined until the place where the logs meet is known. */
  #next: number | undefined;
  #match: number;
  #probe: number;
  /** The last index of each message on its way, with its bytes. */
  #inFlight: { readonly last: number; readonly bytes: number }[] = [];
  #inFlightBytes = 0;
  #ticks = 0;
  #quietTicks = 0;
  #logBytesAtTick: number;
  #bytesToSendInTick = Infinity;
  #running = false;
  /** Something has changed since the run under way last looked. */
  #toRun = false;
  #stopped = false;

  constructor(private readonly options: CatchUpOptions) {
    this.#match = options.match;
    this.#logBytesAtTick = options.log.bytes;
    this.#probe = options.log.lastIndex;
    if (this.#match > 0) this.#next = this.#match + 1;
    this.#run();
  }

  /** The highest index known to be the same on both. */
  get match(): number {
    return this.#match;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** An answer of the follower, whether to this catch-up or to something older. */
  takeResponse({ reject, index, rejectHint, logTerm }: Message): void {
    this.#quietTicks = 0;
    if (reject) {
      if (this.#next === undefined) this.#probe = Math.min(this.#probe - 1, rejectHint);
      else this.#rewind();
      void this.#guard(async () => {
        if (this.#next === undefined) this.#probe = await this.#lastOfTerm(this.#probe, logTerm);
      }).then(() => this.#run());
      return;
    }
    if (index > this.#match) this.#match = index;
    this.#next ??= this.#match + 1;
    while (this.#inFlight.length > 0 && this.#inFlight[0].last <= this.#match) {
      this.#inFlightBytes -= this.#inFlight.shift()?.bytes ?? 0;
    }
    this.#run();
  }

  tick(): void {
    const { bytes } = this.options.log;
    const growth = bytes - this.#logBytesAtTick;
    this.#logBytesAtTick = bytes;
    this.#ticks += 1;
    const multiple = this.#ticks <= patientTicks ? patientMultiple : growthMultiple;
    this.#bytesToSendInTick = growth > 0 ? Math.max(growth * multiple, bytesPerTickMin) : Infinity;
    this.#quietTicks += 1;
    if (this.#quietTicks >= resendTicks) {
      this.#quietTicks = 0;
      this.#rewind();
    } else if (this.#next === undefined) return;
    this.#run();
  }

  #rewind(): void {
    this.#inFlight = [];
    this.#inFlightBytes = 0;
    if (this.#next !== undefined) this.#next = this.#match + 1;
  }

  #run(): void {
    if (this.#stopped) return;
    this.#toRun = true;
    if (this.#running) return;
    this.#running = true;
    void this.#guard(async () => {
      while (this.#toRun) {
        this.#toRun = false;
        await (this.#next === undefined ? this.#sendProbe() : this.#sendEntries());
      }
      this.#running = false;
    });
  }

  async #guard(task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      if (!this.#stopped) this.options.onFailure(error);
      this.stop();
    }
  }

  async #sendProbe(): Promise<void> {
    const { log } = this.options;
    if (this.#probe < log.startIndex - 1) await this.#sendSnapshot();
    else await this.#sendAppend(this.#probe, []);
  }

  async #sendEntries(): Promise<void> {
    const { log } = this.options;
    while (!this.#stopped && this.#next !== undefined && this.#maySend()) {
      const next = this.#next;
      if (next < log.startIndex) {
        await this.#sendSnapshot();
        return;
      }
      if (next > log.lastIndex) return;
      const until = toIndex(log.lastIndex + 1);
      const batches = await log.readEntries(toIndex(next), { until, bytesMax: chunkBytes });
      // An answer may have moved it meanwhile.
      if (this.#next !== next || batches.length === 0) continue;
      let bytes = 0;
      for (const batch of batches) bytes += storedBytes(batch);
      await this.#sendAppend(next - 1, batches.map(entryOfBatch));
      if (this.#next !== next) continue;
      this.#next = next + batches.length;
      this.#inFlight.push({ last: this.#next - 1, bytes });
      this.#inFlightBytes += bytes;
      this.#bytesToSendInTick -= bytes;
    }
  }

  #maySend(): boolean {
    return this.#inFlightBytes < windowBytes && this.#bytesToSendInTick > 0;
  }

  async #sendSnapshot(): Promise<void> {
    const snapshot = await this.options.snapshot();
    if (!this.#stopped) this.options.send(snapshot);
  }

  async #sendAppend(index: number, entries: Message['entries']): Promise<void> {
    const { log, from, to, term, commit } = this.options;
    const logTerm = await log.termAt(toIndex(index));
    if (this.#stopped) return;
    this.options.send(
      message({
        type: 'MsgApp',
        from,
        to,
        term,
        index,
        logTerm,
        entries,
        commit: Math.min(commit(), index + entries.length),
      }),
    );
  }

  /** The last entry at or before `index` of a term of at most `term`: terms never fall along a log. */
  async #lastOfTerm(index: number, term: number): Promise<number> {
    const { log } = this.options;
    const lowest = log.startIndex - 1;
    let low: Index = toIndex(lowest);
    let high = Math.min(index, log.lastIndex);
    if (high < lowest) return high;
    while (low < high) {
      const middle = toIndex(Math.ceil((low + high) / 2));
      if ((await log.termAt(middle)) <= term) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
