/** A response from the server that is not the expected protobuf message. */
export class MalformedResponseError extends Error {
  override readonly name = 'MalformedResponseError';
}

export const WireType = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** The size of `value` as a varint; `value` is a safe integer >= 0. */
export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes += 1;
  return bytes;
}

/** Writes `value`, a safe integer >= 0, at `position`; returns the position after it. */
export function writeVarint(target: Uint8Array, position: number, value: number): number {
  let at = position;
  let rest = value;
  while (rest >= 0x80) {
    target[at] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
    at += 1;
  }
  target[at] = rest;
  return at + 1;
}

/** A cursor over protobuf fields. Every read is checked against the end of its range. */
export class WireCursor {
  constructor(
    readonly bytes: Uint8Array,
    public position = 0,
    readonly end = bytes.length,
  ) {}

  get done(): boolean {
    return this.position >= this.end;
  }

  /** A varint up to 2^53 - 1; larger ones are refused, never rounded. */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10; count += 1) {
      if (this.position >= this.end) throw new MalformedResponseError('a varint ends early');
      const byte = this.bytes[this.position];
      this.position += 1;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) throw new MalformedResponseError('a number is larger than 2^53 - 1');
        return value;
      }
      scale *= 0x80;
    }
    throw new MalformedResponseError('a varint is longer than ten bytes');
  }

  /** Reads a length and moves past as many bytes; returns where they start. They end at the new `position`. */
  lengthDelimited(): number {
    const length = this.varint();
    const start = this.position;
    if (length > this.end - start) throw new MalformedResponseError('a field ends after its message');
    this.position = start + length;
    return start;
  }

  skip(wireType: number): void {
    if (wireType === WireType.varint) this.varint();
    else if (wireType === WireType.bytes) this.lengthDelimited();
    else if (wireType === WireType.fixed64) this.advance(8);
    else if (wireType === WireType.fixed32) this.advance(4);
    else throw new MalformedResponseError(`unknown wire type ${wireType}`);
  }

  private advance(bytes: number): void {
    if (bytes > this.end - this.position) throw new MalformedResponseError('a field ends after its message');
    this.position += bytes;
  }
}
