import type { CallQuota } from './call-quota.js';

export interface StreamSchedulerOptions {
  /** Streams that are served in one turn of the event loop; the others wait for the next. */
  readonly perTurnMax: number;
  /** Most streams of one address that may wait. */
  readonly waitingPerAddressMax: number;
  /** Serves the newest waiting stream of an address first, instead of the oldest. */
  readonly newestFirst?: boolean;
}

/** Starting this many takes about 10 ms, with everything that they do before they first wait. */
const perTurnMax = 32;

/**
 * Returns the options for a listener with this quota: as many streams of a client may wait as may be in flight, and at
 * least 1,024.
 */
export function streamSchedulerOptions(quota: CallQuota | undefined): StreamSchedulerOptions {
  return { perTurnMax, waitingPerAddressMax: Math.max(1_024, quota?.callsPerClientMax ?? 0) };
}

/**
 * Spreads the start of streams over turns of the event loop, so that other work runs in between; or, by another one of
 * these, their end. Whatever a thousand connections have sent is read in one turn, a hundred streams each, and serving
 * one takes a tenth of a millisecond or more, even to refuse it. Waiting streams are served address by address in turn:
 * a client that starts few waits for few.
 */
export class StreamScheduler<Stream> {
  #served = 0;
  #isCounting = false;
  readonly #waiting = new Map<string, Stream[]>();

  /** `inNextTurn` calls back once everything that has arrived is read. */
  constructor(
    private readonly options: StreamSchedulerOptions,
    private readonly serve: (stream: Stream) => void,
    private readonly inNextTurn: (callback: () => void) => void,
  ) {}

  /**
   * Serves the stream, now or in a later turn. Returns false, and does not serve it, when too many of its address wait.
   */
  enter(stream: Stream, address: string): boolean {
    if (this.#waiting.size === 0 && this.#served < this.options.perTurnMax) {
      this.#serveOne(stream);
      return true;
    }
    const waiting = this.#waiting.get(address);
    if (waiting === undefined) this.#waiting.set(address, [stream]);
    else if (waiting.length < this.options.waitingPerAddressMax) waiting.push(stream);
    else return false;
    return true;
  }

  #serveOne(stream: Stream): void {
    this.#served += 1;
    if (!this.#isCounting) {
      this.#isCounting = true;
      this.inNextTurn(() => {
        this.#beginTurn();
      });
    }
    this.serve(stream);
  }

  #beginTurn(): void {
    this.#isCounting = false;
    this.#served = 0;
    for (const [address, waiting] of this.#waiting) {
      if (this.#served >= this.options.perTurnMax) return;
      this.#waiting.delete(address);
      const stream = this.options.newestFirst === true ? waiting.pop() : waiting.shift();
      if (stream === undefined) continue;
      // The address goes to the end of the queue.
      this.#waiting.set(address, waiting);
      this.#serveOne(stream);
    }
  }
}
