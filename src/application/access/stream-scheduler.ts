import type { CallQuota } from './call-quota.js';

export interface StreamSchedulerOptions {
  /** Streams are begun for so long in one turn of the event loop, one at least; the others wait for the next. */
  readonly turnMs: number;
  /** Streams that are served in one turn, however little time they take: for those that do more right afterwards. */
  readonly perTurnMax?: number;
  /** Most streams of one address that may wait. */
  readonly waitingPerAddressMax: number;
  /** Serves the newest waiting stream of an address first, instead of the oldest. */
  readonly newestFirst?: boolean;
}

/** What the streams do in the same turn before they first wait takes two or three times as long. */
const turnMs = 3;

/**
 * Returns the options for a listener with this quota, whose sessions may have so many streams each: as many streams of
 * an address may wait as two sessions may open, or as a client may have in flight.
 */
export function streamSchedulerOptions(streamsMax: number, quota: CallQuota | undefined): StreamSchedulerOptions {
  return { turnMs, waitingPerAddressMax: Math.max(2 * streamsMax, quota?.callsPerClientMax ?? 0) };
}

/**
 * Spreads the start of streams over turns of the event loop, so that other work runs in between; or, by another one of
 * these, their end. Whatever a thousand connections have sent is read in one turn, a hundred streams each, and serving
 * one takes a tenth of a millisecond or more, even to refuse it. Waiting streams are served address by address in turn:
 * a client that starts few waits for few.
 */
export class StreamScheduler<Stream> {
  #isInTurn = false;
  #served = 0;
  /** By the time of `nowMs`. */
  #turnEndsMs = 0;
  readonly #waiting = new Map<string, Stream[]>();

  /** `inNextTurn` calls back once everything that has arrived is read; `nowMs` never goes back. */
  constructor(
    private readonly options: StreamSchedulerOptions,
    private readonly serve: (stream: Stream) => void,
    private readonly inNextTurn: (callback: () => void) => void,
    private readonly nowMs: () => number,
  ) {}

  /**
   * Serves the stream, now or in a later turn. Returns false, and does not serve it, when too many of its address wait.
   */
  enter(stream: Stream, address: string): boolean {
    if (this.#waiting.size === 0 && !this.#isTurnOver()) {
      this.#serveOne(stream);
      return true;
    }
    const waiting = this.#waiting.get(address);
    if (waiting === undefined) this.#waiting.set(address, [stream]);
    else if (waiting.length < this.options.waitingPerAddressMax) waiting.push(stream);
    else return false;
    return true;
  }

  #isTurnOver(): boolean {
    if (!this.#isInTurn) return false;
    return this.#served >= (this.options.perTurnMax ?? Infinity) || this.nowMs() >= this.#turnEndsMs;
  }

  #serveOne(stream: Stream): void {
    if (!this.#isInTurn) {
      this.#isInTurn = true;
      this.#served = 0;
      this.#turnEndsMs = this.nowMs() + this.options.turnMs;
      this.inNextTurn(() => {
        this.#beginTurn();
      });
    }
    this.#served += 1;
    this.serve(stream);
  }

  #beginTurn(): void {
    this.#isInTurn = false;
    for (const [address, waiting] of this.#waiting) {
      if (this.#isTurnOver()) return;
      this.#waiting.delete(address);
      const stream = this.options.newestFirst === true ? waiting.pop() : waiting.shift();
      if (stream === undefined) continue;
      // The address goes to the end of the queue.
      this.#waiting.set(address, waiting);
      this.#serveOne(stream);
    }
  }
}
