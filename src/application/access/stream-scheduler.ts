import type { CallQuota } from './call-quota.js';

export interface StreamSchedulerOptions {
  /** Streams that are served in one turn of the event loop; the others wait for the next. */
  readonly ofTurnMax: number;
  /** Streams of one address that wait. */
  readonly waitingOfAddressMax: number;
}

/** To begin so many takes some 10 ms, with all that they do before they wait for something. */
const ofTurnMax = 32;

/** For a listener with this quota: as many of a client may wait as may be under way, and 1,024 in any case. */
export function streamSchedulerOptions(quota: CallQuota | undefined): StreamSchedulerOptions {
  return { ofTurnMax, waitingOfAddressMax: Math.max(1_024, quota?.callsPerClientMax ?? 0) };
}

/**
 * Has the event loop serve so many streams and then do something else. What a thousand connections have sent meanwhile
 * is all read in one turn, a hundred streams each, and to serve one takes a tenth of a millisecond and more, were it
 * but to refuse it. Those that wait are served address by address in turn: who begins few waits for few.
 */
export class StreamScheduler<Stream> {
  #served = 0;
  #isCounting = false;
  readonly #waiting = new Map<string, Stream[]>();

  /** `inNextTurn` calls back once what has come is read. */
  constructor(
    private readonly options: StreamSchedulerOptions,
    private readonly serve: (stream: Stream) => void,
    private readonly inNextTurn: (callback: () => void) => void,
  ) {}

  /** Serves the stream, now or in a later turn. False when too many of its address wait: it is not served at all. */
  enter(stream: Stream, address: string): boolean {
    if (this.#waiting.size === 0 && this.#served < this.options.ofTurnMax) {
      this.#serveOne(stream);
      return true;
    }
    const waiting = this.#waiting.get(address);
    if (waiting === undefined) this.#waiting.set(address, [stream]);
    else if (waiting.length < this.options.waitingOfAddressMax) waiting.push(stream);
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
      if (this.#served >= this.options.ofTurnMax) return;
      this.#waiting.delete(address);
      const stream = waiting.shift();
      if (stream === undefined) continue;
      // Behind the others.
      this.#waiting.set(address, waiting);
      this.#serveOne(stream);
    }
  }
}
