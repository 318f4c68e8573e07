/** Writes msgpack's old specification: strings and bytes are both "raw", and integers use the smallest encoding. */
export class MsgpackWriter {
  #bytes = Buffer.allocUnsafe(256);
  #length = 0;

  /** Returns a copy of the written bytes. */
  finish(): Uint8Array {
    return Uint8Array.prototype.slice.call(this.#bytes, 0, this.#length);
  }

  byte(value: number): void {
    this.#reserve(1).writeUInt8(value);
  }

  /** Appends bytes without a header. */
  append(bytes: Uint8Array): void {
    this.#reserve(bytes.length).set(bytes);
  }

  nil(): void {
    this.byte(0xc0);
  }

  boolean(value: boolean): void {
    this.byte(value ? 0xc3 : 0xc2);
  }

  float(value: number): void {
    this.byte(0xcb);
    this.#reserve(8).writeDoubleBE(value);
  }

  /** -2^63 to 2^64 - 1. */
  integer(value: bigint): void {
    if (value >= 0n) this.#unsigned(value);
    else this.#negative(value);
  }

  raw(bytes: Uint8Array): void {
    const { length } = bytes;
    if (length < 32) this.byte(0xa0 | length);
    else this.#header(length, 0xda, 0xdb);
    this.append(bytes);
  }

  text(text: string): void {
    this.raw(Buffer.from(text));
  }

  mapHeader(entries: number): void {
    if (entries < 16) this.byte(0x80 | entries);
    else this.#header(entries, 0xde, 0xdf);
  }

  arrayHeader(elements: number): void {
    if (elements < 16) this.byte(0x90 | elements);
    else this.#header(elements, 0xdc, 0xdd);
  }

  #header(length: number, code16: number, code32: number): void {
    if (length < 0x10000) {
      this.byte(code16);
      this.#reserve(2).writeUInt16BE(length);
    } else {
      this.byte(code32);
      this.#reserve(4).writeUInt32BE(length);
    }
  }

  #unsigned(value: bigint): void {
    if (value <= 0x7fn) {
      this.byte(Number(value));
    } else if (value <= 0xffn) {
      this.byte(0xcc);
      this.byte(Number(value));
    } else if (value <= 0xffffn) {
      this.byte(0xcd);
      this.#reserve(2).writeUInt16BE(Number(value));
    } else if (value <= 0xffffffffn) {
      this.byte(0xce);
      this.#reserve(4).writeUInt32BE(Number(value));
    } else {
      this.byte(0xcf);
      this.#reserve(8).writeBigUInt64BE(value);
    }
  }

  #negative(value: bigint): void {
    if (value >= -32n) {
      this.byte(Number(value) + 0x100);
    } else if (value >= -0x80n) {
      this.byte(0xd0);
      this.#reserve(1).writeInt8(Number(value));
    } else if (value >= -0x8000n) {
      this.byte(0xd1);
      this.#reserve(2).writeInt16BE(Number(value));
    } else if (value >= -0x80000000n) {
      this.byte(0xd2);
      this.#reserve(4).writeInt32BE(Number(value));
    } else {
      this.byte(0xd3);
      this.#reserve(8).writeBigInt64BE(value);
    }
  }

  /** Reserves the next `length` bytes. */
  #reserve(length: number): Buffer {
    const at = this.#length;
    this.#length += length;
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#length, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
    }
    return this.#bytes.subarray(at, this.#length);
  }
}
