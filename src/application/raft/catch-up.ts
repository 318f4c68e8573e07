import type { Log } from '../../domain/log/log.js';
import { type Index, toIndex } from '../../domain/log/offsets.js';
import { storedBytes } from '../../domain/log/record-batch.js';
import { type Message, message } from '../../domain/raft/message.js';
import { entryOfBatch } from './batch-entry.js';

/** Bytes of the entries in one message. */
const chunkBytes = 1024 * 1024;
/** Bytes sent and not yet acknowledged. */
const windowBytes = 16 * 1024 * 1024;
/**
 * Appends go first: while the log grows, a tick sends at most this multiple of the log's growth in the previous tick,
 * or the minimum if that is more. In the first ticks the multiple is below 1, so that the leader keeps three quarters
 * of its throughput; after them it is above 1, so that the follower catches up whatever is appended.
 */
const patientTicks = 600;
const patientMultiple = 0.6;
const growthMultiple = 1.5;
const bytesPerTickMin = 2 * 1024 * 1024;
/** After this long without an acknowledgement, what was sent counts as lost. */
const resendTicks = 10;

export interface CatchUpOptions {
  readonly log: Pick<Log, 'startIndex' | 'lastIndex' | 'bytes' | 'readEntries' | 'termAt'>;
  readonly from: number;
  readonly to: number;
  /** The leader's term; the catch-up is void in any other. */
  readonly term: number;
  /** The highest index known to match, 0 for none. */
  readonly match: number;
  /** Returns this node's current commit index. */
  readonly commit: () => number;
  readonly send: (sent: Message) => void;
  /** The message that makes the follower's log begin where this node's does. */
  readonly snapshot: () => Promise<Message>;
  readonly onFailure: (error: unknown) => void;
}

/**
 * Brings a follower up to date whose next entry is no longer in memory: reads stored batches and sends them as ordinary
 * appends (Raft figure 2), so that the follower needs no special code and writes the same bytes. If the follower's log
 * ends before the log start, it first receives the new start. Replaces the snapshot that the core asked to send, and
 * ends when the core's own replication can continue.
 */
export class CatchUp {
  /** The next entry to send; undefined until the last entry that the logs share is known. */
  #next: number | undefined;
  #match: number;
  #probe: number;
  /** The last index and the bytes of each message in flight. */
  #inFlight: { readonly last: number; readonly bytes: number }[] = [];
  #inFlightBytes = 0;
  #ticks = 0;
  #quietTicks = 0;
  #logBytesAtTick: number;
  #bytesToSendInTick = Infinity;
  #running = false;
  /** Whether something has changed since the current run last checked. */
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

  /** Handles a response of the follower, whether to this catch-up or to an earlier message. */
  handleResponse({ reject, index, rejectHint, logTerm }: Message): void {
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
      // A response may have moved it in the meantime.
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

  /** Returns the last entry at or before `index` with a term of at most `term`: terms never decrease along a log. */
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
