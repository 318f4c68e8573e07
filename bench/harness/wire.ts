/** The few protobuf and gRPC bytes that the load generators send and check, by hand so that a load costs little. */

export const recordValueBytes = 100;

export function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) | 0x80);
  }
}

const uint64Field = (field: number, value: number): Buffer => Buffer.concat([varint(field << 3), varint(value)]);

const bytesField = (field: number, bytes: Uint8Array): Buffer =>
  Buffer.concat([varint((field << 3) | 2), varint(bytes.length), bytes]);

/** A `log.v1.Record` whose value differs from record to record, so that nothing on the way can profit from repetition. */
function record(place: number): Buffer {
  const value = Buffer.alloc(recordValueBytes);
  let state = (place + 1) * 2654435761;
  for (let at = 0; at < value.length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    value[at] = 32 + ((state >>> 24) % 95);
  }
  return bytesField(1, value);
}

/** A `golog.v1.AppendRequest`. */
export const appendRequest = (recordCount: number): Buffer =>
  Buffer.concat(Array.from({ length: recordCount }, (_, place) => bytesField(1, record(place))));

/** A `log.v1.ProduceRequest`. */
export const produceRequest = (): Buffer => bytesField(1, record(0));

/** A `log.v1.ConsumeRequest`. */
export const consumeRequest = (offset: number): Buffer => uint64Field(1, offset);

/** A `golog.v1.ReadRequest` from the log's start. */
export const readEarliestRequest = (): Buffer => uint64Field(3, 1);

/** A gRPC length-prefixed message, not compressed. */
export function grpcFrame(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  return frame;
}

/** Reads protobuf fields one after the other; throws `RangeError` when the bytes end inside a field. */
export class FieldReader {
  field = 0;
  /** The value of a varint field, else 0. */
  value = 0;
  /** Where the content of a length-delimited field lies. */
  start = 0;
  end = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private position = 0,
    private readonly limit = bytes.length,
  ) {}

  next(): boolean {
    if (this.position >= this.limit) return false;
    const tag = this.readVarint();
    this.field = tag >>> 3;
    switch (tag & 7) {
      case 0:
        this.value = this.readVarint();
        return true;
      case 2: {
        const length = this.readVarint();
        this.start = this.position;
        this.end = this.start + length;
        if (this.end > this.limit) throw new RangeError(`field ${this.field} ends beyond its message`);
        this.position = this.end;
        return true;
      }
      default:
        throw new RangeError(`wire type ${tag & 7} of field ${this.field} is not expected here`);
    }
  }

  private readVarint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.bytes[this.position++];
      if (byte === undefined || this.position > this.limit) throw new RangeError('varint ends beyond its message');
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }
}

/** The value of a varint field of a message; 0 when absent, as in proto3. */
export function uint64Of(message: Uint8Array, field: number): number {
  const reader = new FieldReader(message);
  let value = 0;
  while (reader.next()) if (reader.field === field) value = reader.value;
  return value;
}

export interface BatchRun {
  /** The base offset of the first batch; -1 without batches. */
  readonly firstOffset: number;
  readonly records: number;
}

/** Counts the records of a `golog.v1.ReadResponse`, and throws unless its batches are dense. */
export function batchRunOf(response: Uint8Array): BatchRun {
  let firstOffset = -1;
  let records = 0;
  const batches = new FieldReader(response);
  while (batches.next()) {
    if (batches.field !== 1) continue;
    let baseOffset = 0;
    let count = 0;
    const fields = new FieldReader(response, batches.start, batches.end);
    while (fields.next()) {
      if (fields.field === 1) baseOffset = fields.value;
      else if (fields.field === 4) count++;
    }
    if (firstOffset < 0) firstOffset = baseOffset;
    if (baseOffset !== firstOffset + records)
      throw new Error(`batch at offset ${baseOffset} follows offset ${firstOffset + records - 1}`);
    records += count;
  }
  return { firstOffset, records };
}
