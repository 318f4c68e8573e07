import type { CallQuota } from './call-quota.js';

export interface StreamSchedulerOptions {
  /** Streams are begun for so long in one turn of the event loop, one at least; the others wait for the next. */
  readonly turnMs: number;
  /**
   * Serves no stream at once: for those of which the most is done right afterwards. When a stream has waited, that counts
   * for the time of the turn as well.
   */
  readonly alwaysWait?: boolean;
  /** Most streams of one address that may wait. */
  readonly waitingPerAddressMax: number;
  /** Serves the newest waiting stream of an address first, instead of the oldest. */
  readonly newestFirst?: boolean;
}

/** What the streams that are served at once do before they first wait takes two or three times as long. */
const turnMs = 3;

/** Streams that have waited are served each in a callback of its own: so many of these are there in one turn. */
const servedInTurnMax = 32;

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
  #waitingCount = 0;
  /** Callbacks that serve one stream each: one for each stream that waits, up to the most in one turn. */
  #servers = 0;

  /**
   * `inNextTurn` calls back once everything that has arrived is read, and once all that the callback before led to is
   * done; `nowMs` never goes back.
   */
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
    if (!this.#isInTurn) this.#beginTurn();
    if (this.options.alwaysWait !== true && this.#waitingCount === 0 && !this.#isTurnOver()) {
      this.#served += 1;
      this.serve(stream);
      return true;
    }
    const waiting = this.#waiting.get(address);
    if (waiting === undefined) this.#waiting.set(address, [stream]);
    else if (waiting.length < this.options.waitingPerAddressMax) waiting.push(stream);
    else return false;
    this.#waitingCount += 1;
    if (this.#servers < servedInTurnMax) {
      this.#servers += 1;
      this.inNextTurn(this.#serveInTurn);
    }
    return true;
  }

  #beginTurn(): void {
    this.#isInTurn = true;
    this.#served = 0;
    this.#turnEndsMs = this.nowMs() + this.options.turnMs;
    // Before those that serve streams in the next turn.
    this.inNextTurn(() => {
      if (this.#waitingCount > 0) this.#beginTurn();
      else this.#isInTurn = false;
    });
  }

  #isTurnOver(): boolean {
    return this.#served > 0 && this.nowMs() >= this.#turnEndsMs;
  }

  readonly #serveInTurn = (): void => {
    if (!this.#isTurnOver()) this.#serveNext();
    if (this.#waitingCount < this.#servers) this.#servers -= 1;
    else this.inNextTurn(this.#serveInTurn);
  };

  #serveNext(): void {
    const [next] = this.#waiting;
    if (next === undefined) return;
    const [address, waiting] = next;
    // The address goes to the end of the queue.
    this.#waiting.delete(address);
    const stream = this.options.newestFirst === true ? waiting.pop() : waiting.shift();
    if (waiting.length > 0) this.#waiting.set(address, waiting);
    if (stream === undefined) return;
    this.#waitingCount -= 1;
    this.#served += 1;
    this.serve(stream);
  }
}
