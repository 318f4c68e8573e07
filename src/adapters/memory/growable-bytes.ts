const capacityBytesMin = 256;

/** Bytes that grow by doubling: the contents of a file in memory. Past `length` the buffer holds only zeros. */
export class GrowableBytes {
  #buffer = new Uint8Array(0);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Returns a copy of up to `length` bytes from `position`; fewer at the end. */
  read(position: number, length: number): Uint8Array {
    return this.#buffer.slice(position, Math.max(position, Math.min(position + length, this.#length)));
  }

  /** Extends the file as needed; writing nothing changes nothing. */
  write(position: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const end = position + bytes.length;
    if (end > this.#length) this.resize(end);
    this.#buffer.set(bytes, position);
  }

  /** Truncates, or extends with zeros. */
  resize(length: number): void {
    if (length < this.#length) this.#buffer.fill(0, length, this.#length);
    if (length > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(length, this.#buffer.length * 2, capacityBytesMin));
      grown.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = grown;
    }
    this.#length = length;
  }

  clone(): GrowableBytes {
    const copy = new GrowableBytes();
    copy.write(0, this.#buffer.subarray(0, this.#length));
    return copy;
  }
}
