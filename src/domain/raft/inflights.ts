/** A MsgApp in flight: the index of its last entry and the size of its payloads. */
interface Inflight {
  readonly index: number;
  readonly bytes: number;
}

/** The number of slots that acknowledged messages may occupy before the window is compacted. */
const ackedMax = 64;

/**
 * The MsgApp messages sent to one follower and not yet acknowledged: the window that bounds a leader's pipelining (Raft
 * thesis §10.2.1). Indexes ascend in the order they were added.
 */
export class Inflights {
  private window: Inflight[] = [];
  /** Position of the oldest message in flight; earlier ones are acknowledged. */
  private start = 0;
  private bytes = 0;

  /**
   * `messagesMax` bounds the messages in flight, `bytesMax` their payload bytes, 0 for no bound. A message may exceed
   * `bytesMax`; it is then the last one until acknowledgements free the window.
   */
  constructor(
    readonly messagesMax: number,
    readonly bytesMax: number,
  ) {}

  get count(): number {
    return this.window.length - this.start;
  }

  /** Payload bytes in flight. */
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

  /** Removes every message whose last entry is at or below `index`: the follower has acknowledged them. */
  freeUpTo(index: number): void {
    for (;;) {
      const oldest = this.window[this.start];
      if (oldest === undefined || oldest.index > index) break;
      this.bytes -= oldest.bytes;
      this.start += 1;
    }
    if (this.start === this.window.length) {
      this.reset();
    } else if (this.start >= ackedMax && this.start * 2 >= this.window.length) {
      this.window = this.window.slice(this.start);
      this.start = 0;
    }
  }

  reset(): void {
    this.window = [];
    this.start = 0;
    this.bytes = 0;
  }

  /** Returns an independent copy. */
  clone(): Inflights {
    const copy = new Inflights(this.messagesMax, this.bytesMax);
    copy.window = this.window.slice(this.start);
    copy.bytes = this.bytes;
    return copy;
  }
}
