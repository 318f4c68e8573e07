import { types } from 'node:util';
import { varintBytes, WireCursor, writeVarint } from './wire.js';

/** A record to append: a value, and optionally a key and headers. */
export interface OutgoingRecord {
  readonly value: Uint8Array;
  readonly key?: Uint8Array | undefined;
  readonly headers?: ReadonlyMap<string, Uint8Array> | undefined;
}

/** The server accepts no batch of more records. */
const batchRecordsMax = 65_536;
const expectedOffsetBytesMax = 1 + 8;
const recordsTag = 0x0a;
const valueTag = 0x0a;
const keyTag = 0x32;
const headersTag = 0x3a;

function fieldBytes(length: number): number {
  return 1 + varintBytes(length) + length;
}

function headerEntryBytes(name: Uint8Array, value: Uint8Array): number {
  return fieldBytes(name.length) + fieldBytes(value.length);
}

function encodedHeaders(record: OutgoingRecord): [name: Uint8Array, value: Uint8Array][] {
  return [...(record.headers ?? [])].map(([name, value]) => [Buffer.from(name), value]);
}

const loneSurrogate = /\p{Surrogate}/u;

/** Callers in plain JavaScript may pass anything: a string has a length too, and would be stored as so many zeros. */
function assertBytes(bytes: unknown, what: string): void {
  if (types.isUint8Array(bytes)) return;
  const found = bytes === null ? 'null' : Array.isArray(bytes) ? 'an array' : `of type ${typeof bytes}`;
  throw new TypeError(`the ${what} of the record is ${found}: expected a Uint8Array, such as Buffer.from('text')`);
}

function assertRecord({ value, key, headers }: OutgoingRecord): void {
  assertBytes(value, 'value');
  if (key !== undefined) assertBytes(key, 'key');
  if (headers === undefined) return;
  if (!types.isMap(headers)) throw new TypeError('the headers of the record are not a Map from names to bytes');
  for (const [name, bytes] of headers as ReadonlyMap<unknown, unknown>) {
    if (typeof name !== 'string' || loneSurrogate.test(name))
      throw new TypeError('the name of a header of the record is not a string that UTF-8 can hold');
    assertBytes(bytes, `header ${JSON.stringify(name)}`);
  }
}

/**
 * The size of the record as a `log.v1.Record` message, which the record limit of the server counts.
 *
 * @throws TypeError for a record that is not of its type
 */
export function recordBytes(record: OutgoingRecord): number {
  assertRecord(record);
  let bytes = record.value.length === 0 ? 0 : fieldBytes(record.value.length);
  if (record.key !== undefined && record.key.length > 0) bytes += fieldBytes(record.key.length);
  if (record.headers !== undefined) {
    for (const [name, value] of encodedHeaders(record)) bytes += fieldBytes(headerEntryBytes(name, value));
  }
  return bytes;
}

/** The size of the largest record that fits in a batch of so many bytes. */
export function largestRecord(batchBytes: number): number {
  return Math.max(0, batchBytes - 1 - varintBytes(batchBytes));
}

/** A finished batch: the bytes of a `golog.v1.AppendRequest`, with space at the end for its expected offset. */
export class OutgoingBatch {
  constructor(
    private readonly buffer: Buffer,
    private readonly recordsEnd: number,
    readonly recordCount: number,
  ) {}

  /** The size of the records with their framing, which the batch limit of the server counts. */
  get bytes(): number {
    return this.recordsEnd;
  }

  /** Returns the encoded request. It shares the memory of the batch: only the latest result is valid. */
  request(expectedOffset: number | undefined): Buffer {
    if (expectedOffset === undefined) return this.buffer.subarray(0, this.recordsEnd);
    this.buffer[this.recordsEnd] = 0x10;
    return this.buffer.subarray(0, writeVarint(this.buffer, this.recordsEnd + 1, expectedOffset));
  }

  /** The encoded records, in order. */
  *records(): Generator<Uint8Array, void, void> {
    const cursor = new WireCursor(this.buffer, 0, this.recordsEnd);
    while (!cursor.done) {
      cursor.varint();
      const start = cursor.lengthDelimited();
      yield this.buffer.subarray(start, cursor.position);
    }
  }
}

/** Collects records into one request; each record is written once, into one buffer. */
export class RecordBatchBuilder {
  #buffer: Buffer | undefined;
  #position = 0;
  #count = 0;

  /** @param bytesMax a batch holds at most this, or one larger record; and at most 65,536 records */
  constructor(private readonly bytesMax: number) {}

  get count(): number {
    return this.#count;
  }

  /**
   * Adds the record. Returns false if the batch has records and would become too large: call `take` first.
   *
   * @throws TypeError for a record that is not of its type, such as one whose value is a string
   */
  add(record: OutgoingRecord): boolean {
    const bytes = recordBytes(record);
    const framed = fieldBytes(bytes);
    const isFull = this.#count === batchRecordsMax || this.#position + framed > this.bytesMax;
    if (this.#count > 0 && isFull) return false;
    this.#buffer ??= Buffer.allocUnsafeSlow(Math.max(this.bytesMax, framed) + expectedOffsetBytesMax);
    this.#position = writeRecord(this.#buffer, this.#position, record, bytes);
    this.#count += 1;
    return true;
  }

  /** Returns the batch and empties the builder; undefined when nothing was added. */
  take(): OutgoingBatch | undefined {
    if (this.#buffer === undefined) return undefined;
    const full = this.#position * 2 > this.#buffer.length;
    const buffer = full ? this.#buffer : shrunk(this.#buffer, this.#position);
    const batch = new OutgoingBatch(buffer, this.#position, this.#count);
    this.#buffer = undefined;
    this.#position = 0;
    this.#count = 0;
    return batch;
  }
}

function shrunk(buffer: Buffer, length: number): Buffer {
  const result = Buffer.allocUnsafeSlow(length + expectedOffsetBytesMax);
  buffer.copy(result, 0, 0, length);
  return result;
}

function writeBytes(target: Uint8Array, position: number, tag: number, bytes: Uint8Array): number {
  target[position] = tag;
  const start = writeVarint(target, position + 1, bytes.length);
  target.set(bytes, start);
  return start + bytes.length;
}

function writeRecord(target: Uint8Array, position: number, record: OutgoingRecord, bytes: number): number {
  target[position] = recordsTag;
  let at = writeVarint(target, position + 1, bytes);
  if (record.value.length > 0) at = writeBytes(target, at, valueTag, record.value);
  if (record.key !== undefined && record.key.length > 0) at = writeBytes(target, at, keyTag, record.key);
  if (record.headers === undefined) return at;
  for (const [name, value] of encodedHeaders(record)) {
    target[at] = headersTag;
    at = writeVarint(target, at + 1, headerEntryBytes(name, value));
    at = writeBytes(target, at, 0x0a, name);
    at = writeBytes(target, at, 0x12, value);
  }
  return at;
}
