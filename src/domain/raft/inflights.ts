/** A log message under way: the index of its last entry and the bytes of its payloads. */
interface Inflight {
  readonly index: number;
  readonly bytes: number;
}

/** Slots that answered messages may occupy before the window is packed. */
const answeredMax = 64;

/**
 * The log messages sent to one follower and not yet answered: the window that bounds how far a leader pipelines
 * (Raft thesis §10.2.1). Indexes ascend in the order they were added.
 */
export class Inflights {
  private window: Inflight[] = [];
  /** Place of the oldest message under way; what lies before it has been answered. */
  private start = 0;
  private bytes = 0;

  /**
   * `messagesMax` bounds the messages under way, `bytesMax` their payload bytes, 0 for no bound. A message may exceed
   * the bytes, and is then the last until answers make room.
   */
  constructor(
    readonly messagesMax: number,
    readonly bytesMax: number,
  ) {}

  get count(): number {
    return this.window.length - this.start;
  }

  /** Payload bytes under way. */
  get payloadBytes(): number {
    return this.bytes;
  }

  get full(): boolean {
    return this.count >= this.messagesMax || (this.bytesMax !== 0 && this.bytes >= this.bytesMax);
  }

  /** Records a message whose last entry is `index`. The window must not be full. */
  add(index: number, bytes: number): void {
    if (this.full) throw new Error('cannot add into a full in-flight window');
    this.window.push({ index, bytes });
    this.bytes += bytes;
  }

  /** Forgets every message whose last entry is at or below `index`: the follower has answered for them. */
  freeUpTo(index: number): void {
    for (;;) {
      const oldest = this.window[this.start];
      if (oldest === undefined || oldest.index > index) break;
      this.bytes -= oldest.bytes;
      this.start += 1;
    }
    if (this.start === this.window.length) {
      this.reset();
    } else if (this.start >= answeredMax && this.start * 2 >= this.window.length) {
      this.window = this.window.slice(this.start);
      this.start = 0;
    }
  }

  reset(): void {
    this.window = [];
    this.start = 0;
    this.bytes = 0;
  }

  /** An independent copy. */
  clone(): Inflights {
    const copy = new Inflights(this.messagesMax, this.bytesMax);
    copy.window = this.window.slice(this.start);
    copy.bytes = this.bytes;
    return copy;
  }
}
