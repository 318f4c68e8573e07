import type { OverloadedError } from '../errors.js';
import type { ReadMemory } from '../ports/read-memory.js';

/** What a client's calls may do with the budget that they share; see `MemoryBudget`. */
export interface ClientShare {
  /** Counts so many bytes more, or less. Answers false when the call should end for it. */
  readonly change: (bytes: number) => boolean;
  /** Counts bytes of a request in any case; answers why they are too many. */
  readonly hold: (bytes: number) => OverloadedError | undefined;
  /** Counts the bytes if there is space for them now. */
  readonly tryReserve: (bytes: number) => boolean;
  /** Counts the bytes once there is space for them, in turn; undefined when that is now. */
  readonly reserve: (bytes: number, signal: AbortSignal) => Promise<void> | undefined;
  readonly isShort: () => boolean;
  /** How often readers were looked at. */
  readonly looks: { readonly count: number };
  readonly leave: (call: CallMemory) => void;
}

/** What one unsent message costs besides its bytes: the objects that carry it through the stream to the socket. */
const messageOverheadBytes = 384;

/** What an unsent message with so many bytes counts for. */
export const weightOfMessage = (bytes: number): number => bytes + messageOverheadBytes;

/** A call tells of its messages whenever so much has come or gone, and not of each. */
const stepBytes = 4 * 1024;

/**
 * What one call holds of a `MemoryBudget`: its requests until they are answered, what was read for it, and its messages
 * that its reader has not taken.
 */
export class CallMemory implements ReadMemory {
  /** Bytes of a request that has not come whole. */
  #arriving = 0;
  /** Bytes of requests that are not answered. */
  #unanswered = 0;
  #requestsCounted = 0;
  /** The look at which bytes of a request last came. */
  #arrivedAt = 0;
  #onAnswered: (() => void) | undefined;
  #read = 0;
  #unsent = 0;
  /** What was told of it. */
  #counted = 0;
  #isShort = false;
  /** The look at which its reader last took something, or first had something to take. */
  #movedAt = 0;
  #closed = false;
  #ended = false;

  constructor(
    private readonly share: ClientShare,
    private readonly onEnd: () => void,
  ) {}

  /** Whether the client's calls should hold no more than they must. */
  get isShort(): boolean {
    return this.#isShort;
  }

  /** Whether the call has requests that came whole and are not answered. */
  get hasUnanswered(): boolean {
    return this.#unanswered > 0;
  }

  /**
   * Counts bytes of a request that have come. Answers why they are too many: the caller then refuses the request, or,
   * if others of the same call are not answered, reads no more before one of them is.
   */
  arrive(bytes: number): OverloadedError | undefined {
    if (this.#closed) return undefined;
    this.#arriving += bytes;
    this.#arrivedAt = this.share.looks.count;
    return this.#tellOfRequests();
  }

  /** A request has come whole, in so many bytes, and takes so many until it is answered. Answers as `arrive`. */
  deliver(arrivedBytes: number, bytes = arrivedBytes): OverloadedError | undefined {
    if (this.#closed) return undefined;
    this.#arriving = Math.max(0, this.#arriving - arrivedBytes);
    this.#unanswered += bytes;
    return this.#tellOfRequests();
  }

  /** A request of so many bytes is answered, while others of the call may follow; the end of the call answers all. */
  answer(bytes: number): void {
    if (this.#closed) return;
    this.#unanswered = Math.max(0, this.#unanswered - bytes);
    this.#tellOfRequests();
    const onAnswered = this.#onAnswered;
    this.#onAnswered = undefined;
    onAnswered?.();
  }

  /** Calls back when the next request is answered. */
  onceAnswered(callback: () => void): void {
    this.#onAnswered = callback;
  }

  #tellOfRequests(): OverloadedError | undefined {
    const change = this.#arriving + this.#unanswered - this.#requestsCounted;
    if (Math.abs(change) < stepBytes) return undefined;
    this.#requestsCounted += change;
    return this.share.hold(change);
  }

  reserve(bytes: number, signal: AbortSignal): Promise<void> | undefined {
    const granted = this.share.reserve(bytes, signal);
    if (granted !== undefined)
      return granted.then(() => {
        this.#hold(bytes);
      });
    this.#hold(bytes);
    return undefined;
  }

  tryReserve(bytes: number): boolean {
    if (!this.share.tryReserve(bytes)) return false;
    this.#hold(bytes);
    return true;
  }

  #hold(bytes: number): void {
    // It may have ended while it waited.
    if (this.#closed) this.share.change(-bytes);
    else this.#read += bytes;
  }

  correct(bytes: number): void {
    if (this.#closed || bytes === 0) return;
    this.#read += bytes;
    this.share.change(bytes);
  }

  /** Counts a message that is about to be sent. It exists already, so this neither waits nor refuses. */
  charge(weight: number): void {
    if (this.#closed) return;
    if (this.#unsent === 0) this.#movedAt = this.share.looks.count;
    this.#unsent += weight;
    if (this.#unsent - this.#counted >= stepBytes) this.#tell();
  }

  /** The reader has taken a part of a message, all of which is held until the rest is taken too. */
  advance(): void {
    this.#movedAt = this.share.looks.count;
  }

  /** The reader has taken a message. */
  release(weight: number): void {
    if (this.#closed) return;
    this.advance();
    this.#unsent -= weight;
    if (this.#counted - this.#unsent >= stepBytes) this.#tell();
  }

  #tell(): void {
    const change = this.#unsent - this.#counted;
    this.#counted = this.#unsent;
    const mayGoOn = this.share.change(change);
    this.#isShort = this.share.isShort();
    if (!mayGoOn && !this.#ended) this.end();
  }

  /** Whether its client has left something lying, or has sent nothing of the rest of its request, since that look. */
  isStalledSince(look: number): boolean {
    if (this.#ended) return false;
    const isRequestLate = this.#arriving > 0 && this.#unanswered === 0 && this.#arrivedAt <= look;
    return isRequestLate || (this.#unsent > 0 && this.#movedAt <= look);
  }

  /** Gives the client up. */
  end(): void {
    this.#ended = true;
    this.onEnd();
  }

  /** Gives everything back; may be called more than once. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.share.leave(this);
    this.share.change(-(this.#read + this.#counted + this.#requestsCounted));
    this.#read = this.#unsent = this.#counted = this.#requestsCounted = 0;
    this.#onAnswered?.();
  }
}
