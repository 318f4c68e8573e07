/** Builds a protobuf message of varint and length-delimited fields, in the order in which they are written. */
export class ProtobufWriter {
  private readonly out: number[] = [];

  /** `value` is a safe integer of at least 0. */
  varint(field: number, value: number): void {
    this.raw(field * 8);
    this.raw(value);
  }

  bytes(field: number, value: Uint8Array): void {
    this.raw(field * 8 + 2);
    this.raw(value.length);
    for (const byte of value) this.out.push(byte);
  }

  finish(): Uint8Array {
    return Uint8Array.from(this.out);
  }

  private raw(value: number): void {
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.out.push((rest % 0x80) + 0x80);
    this.out.push(rest);
  }
}

/**
 * Iterates over the fields of a protobuf message. Reading a field as another wire type throws the `malformed` error.
 */
export class ProtobufReader {
  field = 0;
  private wireType = 0;
  private position = 0;

  constructor(
    private readonly data: Uint8Array,
    private readonly malformed: (reason: string) => Error,
  ) {}

  /** Moves to the next field; returns false at the end. The caller must then read or skip the field. */
  next(): boolean {
    if (this.position === this.data.length) return false;
    const tag = this.raw();
    this.field = Math.floor(tag / 8);
    this.wireType = tag % 8;
    if (this.field === 0) throw this.malformed('field number 0');
    return true;
  }

  varint(): number {
    if (this.wireType !== 0) throw this.malformed(`field ${this.field} has wire type ${this.wireType}`);
    return this.raw();
  }

  /** Returns a view of the message's bytes. */
  bytes(): Uint8Array {
    if (this.wireType !== 2) throw this.malformed(`field ${this.field} has wire type ${this.wireType}`);
    const length = this.raw();
    const start = this.position;
    this.advance(length);
    return this.data.subarray(start, this.position);
  }

  skip(): void {
    if (this.wireType === 0) this.skipVarint();
    else if (this.wireType === 1) this.advance(8);
    else if (this.wireType === 2) this.advance(this.raw());
    else if (this.wireType === 5) this.advance(4);
    else throw this.malformed(`field ${this.field} has wire type ${this.wireType}`);
  }

  private raw(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.nextByte();
      value += (byte & 0x7f) * scale;
      if (!Number.isSafeInteger(value)) throw this.malformed('a number above 2^53-1');
      if (byte < 0x80) return value;
      if (scale >= 2 ** 63) throw this.malformed('a number longer than ten bytes');
    }
  }

  /** Skips a varint without decoding it, since an unknown field may hold any 64-bit number. */
  private skipVarint(): void {
    for (let count = 0; this.nextByte() >= 0x80; count += 1) {
      if (count === 9) throw this.malformed('a number longer than ten bytes');
    }
  }

  private nextByte(): number {
    const byte = this.data[this.position];
    if (byte === undefined) throw this.malformed('truncated inside a field');
    this.position += 1;
    return byte;
  }

  private advance(bytes: number): void {
    if (bytes > this.data.length - this.position) throw this.malformed('truncated inside a field');
    this.position += bytes;
  }
}
