/** Protobuf wire types. Groups (3 and 4) are always rejected. */
export const WireType = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** The value that `WireReader` returns instead of a number when the bytes are malformed. */
export const malformed = -1;

/**
 * A cursor over protobuf bytes in `[at, end)`. One object serves a whole request, so that reading a record allocates
 * nothing. Methods return `malformed` instead of throwing, because only the caller knows which record it is in.
 */
export class WireReader {
  constructor(
    readonly bytes: Uint8Array,
    public at: number,
    public end: number,
  ) {}

  /** Reads a varint below 2^31 of at most 5 bytes, overlong or not: a tag or a length. */
  varint31(): number {
    const { bytes, end } = this;
    let at = this.at;
    if (at >= end) return malformed;
    let byte = bytes[at++];
    let value = byte & 0x7f;
    for (let shift = 7; byte > 0x7f; shift += 7) {
      if (shift > 28 || at >= end) return malformed;
      byte = bytes[at++];
      if (shift === 28 && byte > 0x07) return malformed;
      value |= (byte & 0x7f) << shift;
    }
    this.at = at;
    return value;
  }

  /** Reads a length that fits the remaining bytes; the cursor is then at the first byte of the content. */
  length(): number {
    const length = this.varint31();
    return length > this.end - this.at ? malformed : length;
  }

  /** Reads a tag as `number << 3 | type`, with a field number of at least 1. */
  tag(): number {
    const tag = this.varint31();
    return tag < 8 ? malformed : tag;
  }

  /** Reads a uint64 of up to 10 bytes; `undefined` when it is malformed. */
  uint64(): bigint | undefined {
    let value = 0n;
    for (let shift = 0n; shift < 70n && this.at < this.end; shift += 7n) {
      const byte = this.bytes[this.at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte <= 0x7f) return value < 1n << 64n ? value : undefined;
    }
    return undefined;
  }

  /** Reads a uint64 of at most 2^53 - 1; `malformed` when it is larger or has more than 10 bytes. */
  safeInteger(): number {
    let value = 0;
    let unit = 1;
    for (let n = 0; n < 10 && this.at < this.end; n++) {
      const byte = this.bytes[this.at++];
      value += (byte & 0x7f) * unit;
      if (byte <= 0x7f) return value <= Number.MAX_SAFE_INTEGER ? value : malformed;
      unit *= 0x80;
    }
    return malformed;
  }

  /** Moves past the value of a field; returns `malformed` when it does not fit, or is a group. */
  skip(tag: number): number {
    switch (tag & 7) {
      case WireType.varint: {
        for (let n = 0; n < 10 && this.at < this.end; n++) if (this.bytes[this.at++] <= 0x7f) return 0;
        return malformed;
      }
      case WireType.fixed64:
        this.at += 8;
        break;
      case WireType.bytes: {
        const length = this.length();
        if (length === malformed) return malformed;
        this.at += length;
        break;
      }
      case WireType.fixed32:
        this.at += 4;
        break;
      default:
        return malformed;
    }
    return this.at > this.end ? malformed : 0;
  }
}

/** Returns the number of bytes that `writeVarint` writes for `value`. */
export function varintBytes(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : value < 0x10000000 ? 4 : 5;
}

/** Writes a varint of up to 31 bits and returns the position after it. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  while (value > 0x7f) {
    bytes[at++] = (value & 0x7f) | 0x80;
    value >>>= 7;
  }
  bytes[at++] = value;
  return at;
}

/** Writes a varint of up to 53 bits, in at most 8 bytes, and returns the position after it. */
export function writeSafeVarint(bytes: Uint8Array, at: number, value: number): number {
  let rest = value;
  while (rest > 0x7f) {
    bytes[at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  bytes[at++] = rest;
  return at;
}
