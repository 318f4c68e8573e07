import type { ReadMemory } from '../ports/read-memory.js';

/** What a client's calls may do with the budget that they share; see `MemoryBudget`. */
export interface ClientShare {
  /** Counts so many bytes more, or less. */
  readonly change: (bytes: number) => void;
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

/** What one call holds of a `MemoryBudget`: what was read for it, and its messages that its reader has not taken. */
export class CallMemory implements ReadMemory {
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
    this.share.change(change);
    this.#isShort = this.share.isShort();
  }

  /** Whether its reader has left something lying since that look. */
  isStalledSince(look: number): boolean {
    return !this.#ended && this.#unsent > 0 && this.#movedAt <= look;
  }

  /** Gives the reader up. */
  end(): void {
    this.#ended = true;
    this.onEnd();
  }

  /** Gives everything back; may be called more than once. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.share.leave(this);
    this.share.change(-(this.#read + this.#counted));
    this.#read = this.#unsent = this.#counted = 0;
  }
}
