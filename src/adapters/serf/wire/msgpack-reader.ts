import { MalformedGossipError } from '../../../domain/gossip/wire.js';

/** The limit on nested lists and maps in skipped values. The protocol's own values are up to four deep. */
const depthMax = 16;
/**
 * The limit on list elements and map entries per reader: an empty one is one byte on the wire but an object in memory.
 */
const elementsMax = 1 << 20;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The bytes end before the value does; a stream may still receive more. */
export class TruncatedError extends MalformedGossipError {}

/**
 * Reads msgpack's old specification, as Go's codec writes it with `WriteExt=false`, and the newer `str8` and `bin`. A
 * nil reads as the zero value of its type. Time and memory are proportional to the bytes: each count is checked against
 * the remaining bytes. Throws only `MalformedGossipError`.
 */
export class MsgpackReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at: number;
  #elementsLeft: number;

  constructor(bytes: Uint8Array, at = 0, elements = elementsMax) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = at;
    this.#elementsLeft = elements;
  }

  get position(): number {
    return this.#at;
  }

  /** Returns the remaining bytes, not copied. */
  rest(): Uint8Array {
    return this.#bytes.subarray(this.#at);
  }

  expectEnd(): void {
    const left = this.#bytes.length - this.#at;
    if (left > 0) throw new MalformedGossipError(`${left} bytes follow the message`);
  }

  /** Returns the number of entries that follow. */
  mapHeader(): number {
    const code = this.#byte();
    if (code === 0xc0) return 0;
    if (code >> 4 === 0x8) return this.#count(code & 0x0f, 2);
    if (code === 0xde) return this.#count(this.#uint(2), 2);
    if (code === 0xdf) return this.#count(this.#uint(4), 2);
    throw this.#wrong('a map', code);
  }

  /** Returns the number of elements that follow. */
  arrayHeader(): number {
    const code = this.#byte();
    if (code === 0xc0) return 0;
    if (code >> 4 === 0x9) return this.#count(code & 0x0f, 1);
    if (code === 0xdc) return this.#count(this.#uint(2), 1);
    if (code === 0xdd) return this.#count(this.#uint(4), 1);
    throw this.#wrong('a list', code);
  }

  /** Returns a string or bytes, not copied. */
  raw(): Uint8Array {
    const code = this.#byte();
    if (code === 0xc0) return this.#take(0);
    const length = this.#rawLength(code);
    if (length === undefined) throw this.#wrong('bytes', code);
    return this.#take(length);
  }

  text(): string {
    return decodeText(this.raw());
  }

  boolean(): boolean {
    const code = this.#byte();
    if (code === 0xc0 || code === 0xc2) return false;
    if (code === 0xc3) return true;
    throw this.#wrong('a boolean', code);
  }

  /** An integer of at most 64 bits. */
  integer(): bigint {
    const code = this.#byte();
    const value = code === 0xc0 ? 0n : this.#integer(code);
    if (value === undefined) throw this.#wrong('an integer', code);
    return value;
  }

  float(): number {
    const code = this.#byte();
    if (code === 0xc0) return 0;
    if (code === 0xca) return this.#view.getFloat32(this.#skipped(4));
    if (code === 0xcb) return this.#view.getFloat64(this.#skipped(8));
    const integer = this.#integer(code);
    if (integer === undefined) throw this.#wrong('a float', code);
    return Number(integer);
  }

  skip(depth = 0): void {
    if (depth > depthMax) throw new MalformedGossipError(`values are nested more than ${depthMax} deep`);
    const code = this.#byte();
    if (code === 0xc0 || code === 0xc2 || code === 0xc3) return;
    const length = this.#rawLength(code);
    if (length !== undefined) this.#take(length);
    else if (code === 0xca) this.#take(4);
    else if (code === 0xcb) this.#take(8);
    else if (this.#integer(code) === undefined) {
      this.#at--;
      const isMap = code >> 4 === 0x8 || code === 0xde || code === 0xdf;
      const values = isMap ? 2 * this.mapHeader() : this.arrayHeader();
      for (let i = 0; i < values; i++) this.skip(depth + 1);
    }
  }

  #rawLength(code: number): number | undefined {
    if (code >> 5 === 0b101) return code & 0x1f;
    if (code === 0xd9 || code === 0xc4) return this.#uint(1);
    if (code === 0xda || code === 0xc5) return this.#uint(2);
    if (code === 0xdb || code === 0xc6) return this.#uint(4);
    return undefined;
  }

  #integer(code: number): bigint | undefined {
    if (code <= 0x7f) return BigInt(code);
    if (code >= 0xe0) return BigInt(code - 0x100);
    if (code >= 0xcc && code <= 0xce) return BigInt(this.#uint(1 << (code - 0xcc)));
    if (code === 0xcf) return this.#view.getBigUint64(this.#skipped(8));
    if (code === 0xd0) return BigInt(this.#view.getInt8(this.#skipped(1)));
    if (code === 0xd1) return BigInt(this.#view.getInt16(this.#skipped(2)));
    if (code === 0xd2) return BigInt(this.#view.getInt32(this.#skipped(4)));
    if (code === 0xd3) return this.#view.getBigInt64(this.#skipped(8));
    return undefined;
  }

  #byte(): number {
    return this.#view.getUint8(this.#skipped(1));
  }

  #uint(bytes: number): number {
    const at = this.#skipped(bytes);
    if (bytes === 1) return this.#view.getUint8(at);
    return bytes === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  #take(length: number): Uint8Array {
    const at = this.#skipped(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** Skips `length` bytes and returns where they began. */
  #skipped(length: number): number {
    const at = this.#at;
    if (this.#bytes.length - at < length) throw new TruncatedError('the bytes end within a value');
    this.#at += length;
    return at;
  }

  #count(count: number, bytesEach: number): number {
    this.#elementsLeft -= count;
    if (this.#elementsLeft < 0) throw new MalformedGossipError('too many elements of lists and maps');
    if (count * bytesEach > this.#bytes.length - this.#at)
      throw new TruncatedError(`${count} elements are announced, but the bytes end before them`);
    return count;
  }

  #wrong(wanted: string, code: number): MalformedGossipError {
    return new MalformedGossipError(`byte ${this.#at - 1} begins a value 0x${code.toString(16)}: expected ${wanted}`);
  }
}

/** Throws `MalformedGossipError` unless it is UTF-8. */
export function decodeText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new MalformedGossipError('a text is not UTF-8', { cause });
  }
}
