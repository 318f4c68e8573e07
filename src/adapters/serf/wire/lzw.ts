import { MalformedGossipError } from '../../../domain/gossip/wire.js';

const clearCode = 256;
const endCode = 257;
const firstWidth = 9;
const lastCode = 4095;
const noCode = -1;

/**
 * Compresses with LZW exactly as Go's compress/lzw does, byte for byte: least significant bits first, 8-bit literals,
 * codes of 9 to 12 bits, a clear code at the start and whenever the codes run out, and an end code.
 */
export function compress(bytes: Uint8Array): Uint8Array {
  const packed = new CodeWriter();
  const table = new Map<number, number>();
  let next = endCode;
  packed.write(clearCode);
  let code = noCode;
  const claim = (): boolean => {
    next++;
    if (next === 1 << packed.width) packed.width++;
    if (next < lastCode) return true;
    packed.write(clearCode);
    packed.width = firstWidth;
    next = endCode;
    table.clear();
    return false;
  };
  for (const byte of bytes) {
    if (code === noCode) {
      code = byte;
      continue;
    }
    const key = (code << 8) | byte;
    const longer = table.get(key);
    if (longer !== undefined) {
      code = longer;
      continue;
    }
    packed.write(code);
    code = byte;
    if (claim()) table.set(key, next);
  }
  if (code !== noCode) {
    packed.write(code);
    claim();
  }
  packed.write(endCode);
  return packed.finish();
}

/**
 * The inverse of `compress`. Throws `MalformedGossipError` if the input is malformed or the result exceeds `lengthMax`
 * bytes.
 */
export function decompress(packed: Uint8Array, lengthMax: number): Uint8Array {
  const out = new Output(lengthMax);
  // For each code after the literals: its last byte, the previous code, and its length.
  const suffix = new Uint8Array(lastCode + 1);
  const prefix = new Uint16Array(lastCode + 1);
  const length = new Uint16Array(lastCode + 1).fill(1);
  let width = firstWidth;
  let high = endCode;
  let previous = noCode;
  let bits = 0;
  let bitCount = 0;
  let at = 0;
  for (;;) {
    while (bitCount < width) {
      const byte = packed[at++];
      if (byte === undefined) throw new MalformedGossipError('compressed bytes have no end code');
      bits |= byte << bitCount;
      bitCount += 8;
    }
    const code = bits & ((1 << width) - 1);
    bits >>>= width;
    bitCount -= width;
    if (code === endCode) return out.finish();
    if (code === clearCode) {
      width = firstWidth;
      high = endCode;
      previous = noCode;
      continue;
    }
    if (code > high) throw new MalformedGossipError(`compressed bytes use the code ${code} before it is defined`);
    // A code that is being defined right now is the previous one followed by its own first byte.
    const isNext = code === high && previous !== noCode;
    let link = isNext ? previous : code;
    const size = length[link] ?? 1;
    const end = out.reserve(size + (isNext ? 1 : 0)) + size;
    let to = end - 1;
    for (; link > 255; to--) {
      out.bytes[to] = suffix[link] ?? 0;
      link = prefix[link] ?? 0;
    }
    out.bytes[to] = link;
    if (isNext) out.bytes[end] = link;
    if (previous !== noCode) {
      suffix[high] = link;
      prefix[high] = previous;
      length[high] = (length[previous] ?? 1) + 1;
    }
    previous = code;
    high++;
    if (high === 1 << width) {
      if (width === 12) {
        previous = noCode;
        high--;
      } else {
        width++;
      }
    }
  }
}

class CodeWriter {
  width = firstWidth;
  readonly #bytes: number[] = [];
  #bits = 0;
  #bitCount = 0;

  write(code: number): void {
    this.#bits |= code << this.#bitCount;
    this.#bitCount += this.width;
    while (this.#bitCount >= 8) {
      this.#bytes.push(this.#bits & 0xff);
      this.#bits >>>= 8;
      this.#bitCount -= 8;
    }
  }

  finish(): Uint8Array {
    if (this.#bitCount > 0) this.#bytes.push(this.#bits & 0xff);
    return Uint8Array.from(this.#bytes);
  }
}

class Output {
  bytes = new Uint8Array(1024);
  #length = 0;
  readonly #lengthMax: number;

  constructor(lengthMax: number) {
    this.#lengthMax = lengthMax;
  }

  /** Reserves `length` more bytes and returns their position. */
  reserve(length: number): number {
    const at = this.#length;
    this.#length += length;
    if (this.#length > this.#lengthMax)
      throw new MalformedGossipError(`decompresses to more than ${this.#lengthMax} bytes`);
    if (this.#length > this.bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.bytes.length));
      larger.set(this.bytes.subarray(0, at));
      this.bytes = larger;
    }
    return at;
  }

  finish(): Uint8Array {
    return this.bytes.subarray(0, this.#length);
  }
}
