const newline = 0x0a;

/** A line that is longer than the largest record. */
export class LineTooLongError extends Error {
  override readonly name = 'LineTooLongError';
  constructor(
    readonly line: number,
    readonly bytes: number,
    readonly bytesMax: number,
  ) {
    super(`line ${line} has ${bytes} bytes; a record may have at most ${bytesMax}`);
  }
}

/**
 * Receives one line.
 *
 * @param line without its newline; valid only during the call
 * @param inputBytes how many bytes of the input the line used, including its newline
 */
export type TakeLine = (line: Buffer, inputBytes: number) => void;

/**
 * Splits a stream of bytes at each newline (LF) and nowhere else: a CR stays at the end of its line, and bytes need not
 * be UTF-8. A last line without a newline is a line; the empty rest after a newline is not. Buffers at most one
 * unfinished line of at most `lineBytesMax`.
 */
export class LineSplitter {
  #parts: Buffer[] = [];
  #partsBytes = 0;
  #lines = 0;

  constructor(private readonly lineBytesMax: number) {}

  /** The number of lines so far. */
  get lines(): number {
    return this.#lines;
  }

  /** Whether the input so far ends inside a line. */
  get unterminated(): boolean {
    return this.#partsBytes > 0;
  }

  /** @throws LineTooLongError at the end of a line that is too long, with its full length; the rest is not split */
  push(chunk: Buffer, take: TakeLine): void {
    let start = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      const rest = chunk.subarray(start, end);
      start = end + 1;
      this.#lines += 1;
      if (this.#partsBytes === 0) this.#take(rest, rest.length, 1, take);
      else {
        this.#hold(rest);
        this.#takeHeld(1, take);
      }
    }
    if (start < chunk.length) this.#hold(chunk.subarray(start));
  }

  /** Ends the input, which completes a last line without a newline. */
  end(take: TakeLine): void {
    if (this.#partsBytes === 0) return;
    this.#lines += 1;
    this.#takeHeld(0, take);
  }

  #hold(part: Buffer): void {
    this.#partsBytes += part.length;
    if (this.#partsBytes <= this.lineBytesMax) this.#parts.push(part);
    else this.#parts = [];
  }

  #takeHeld(newlineBytes: number, take: TakeLine): void {
    const bytes = this.#partsBytes;
    const line = bytes > this.lineBytesMax ? Buffer.alloc(0) : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#partsBytes = 0;
    this.#take(line, bytes, newlineBytes, take);
  }

  #take(line: Buffer, bytes: number, newlineBytes: number, take: TakeLine): void {
    if (bytes > this.lineBytesMax) throw new LineTooLongError(this.#lines, bytes, this.lineBytesMax);
    take(line, bytes + newlineBytes);
  }
}
