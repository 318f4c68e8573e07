/** Items of one frame together are about this large; a single larger one has a frame of its own. */
const frameBytes = 1 << 20;
/** Frames given to the stream and not yet taken by the connection: one on its way, one ready to follow. */
const framesUnsentMax = 2;

interface Waiting<Item> {
  readonly item: Item;
  readonly bytes: number;
}

/**
 * What waits for a stream, up to a bound. Items leave in order, as many together in a frame as wait while the
 * connection is busy: a frame leaves at once when it is not.
 */
export class FrameQueue<Item> {
  #waiting: Waiting<Item>[] = [];
  /** Waiting, or in frames that the connection has not taken. */
  #bytes = 0;
  #framesUnsent = 0;
  #write: ((items: Item[], sent: () => void) => void) | undefined;

  constructor(private readonly bytesMax: number) {}

  get bytes(): number {
    return this.#bytes;
  }

  /** False, and the item is not taken, where the bound is reached; an empty queue takes an item of any size. */
  push(item: Item, bytes: number): boolean {
    if (this.#bytes > 0 && this.#bytes + bytes > this.bytesMax) return false;
    this.#waiting.push({ item, bytes });
    this.#bytes += bytes;
    return true;
  }

  /** Items go to `write` from here on, which calls `sent` once the connection has taken them. */
  open(write: (items: Item[], sent: () => void) => void): void {
    this.#write = write;
    this.flush();
  }

  /** Sends what may be sent now. */
  flush(): void {
    const write = this.#write;
    while (write !== undefined && write === this.#write && this.#framesUnsent < framesUnsentMax) {
      if (this.#waiting.length === 0) return;
      let bytes = 0;
      let count = 0;
      while (count < this.#waiting.length && (count === 0 || bytes + this.#waiting[count].bytes <= frameBytes))
        bytes += this.#waiting[count++].bytes;
      this.#framesUnsent++;
      write(
        this.#waiting.splice(0, count).map(({ item }) => item),
        () => {
          if (write !== this.#write) return;
          this.#framesUnsent--;
          this.#bytes -= bytes;
          this.flush();
        },
      );
    }
  }

  /** Sends nothing until it is opened again; what it gave to the stream before counts no more. */
  hold(): void {
    this.#write = undefined;
    this.#framesUnsent = 0;
    this.#bytes = this.#waiting.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Forgets everything, and sends nothing until it is opened again. */
  shut(): void {
    this.#waiting = [];
    this.hold();
  }
}
