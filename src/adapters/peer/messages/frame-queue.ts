/** The approximate size of a frame with several items; a larger item has a frame of its own. */
const frameBytes = 1 << 20;
/** Frames given to the stream that the connection has not accepted yet: one in flight, one ready to follow. */
const framesUnsentMax = 2;

interface Waiting<Item> {
  readonly item: Item;
  readonly bytes: number;
}

/**
 * Items that wait for a stream, up to a limit in bytes. Items leave in order. If the connection is idle, a frame leaves
 * at once; while it is busy, items gather for the next frame.
 */
export class FrameQueue<Item> {
  #waiting: Waiting<Item>[] = [];
  /** Bytes that wait or are in frames that the connection has not accepted. */
  #bytes = 0;
  #framesUnsent = 0;
  #write: ((items: Item[], sent: () => void) => void) | undefined;

  constructor(private readonly bytesMax: number) {}

  get bytes(): number {
    return this.#bytes;
  }

  /** Returns false, without accepting the item, if the limit is reached. An empty queue accepts an item of any size. */
  push(item: Item, bytes: number): boolean {
    if (this.#bytes > 0 && this.#bytes + bytes > this.bytesMax) return false;
    this.#waiting.push({ item, bytes });
    this.#bytes += bytes;
    return true;
  }

  /** Sends items through `write`, which calls `sent` once the connection has accepted them. */
  open(write: (items: Item[], sent: () => void) => void): void {
    this.#write = write;
    this.flush();
  }

  /** Sends as many frames as are allowed now. */
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

  /** Stops sending until `open`. Items already given to the stream no longer count. */
  hold(): void {
    this.#write = undefined;
    this.#framesUnsent = 0;
    this.#bytes = this.#waiting.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Drops everything and stops sending until `open`. */
  shut(): void {
    this.#waiting = [];
    this.hold();
  }
}
