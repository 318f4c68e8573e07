import { MalformedResponseError, WireCursor, WireType } from './wire.js';

/** A record as it was read. The bytes are views of the response: copy them to keep them for long. */
export interface ReceivedRecord {
  readonly offset: number;
  readonly value: Uint8Array;
  readonly key: Uint8Array;
  readonly headers: ReadonlyMap<string, Uint8Array>;
}

const noBytes = new Uint8Array(0);
const noHeaders: ReadonlyMap<string, Uint8Array> = new Map();

/** Consecutive records of one append; each record is decoded when it is iterated. */
export class ReceivedBatch {
  constructor(
    readonly baseOffset: number,
    readonly term: number,
    readonly appendTimeMs: number,
    private readonly encoded: readonly Uint8Array[],
  ) {}

  get recordCount(): number {
    return this.encoded.length;
  }

  /** One past the last record's offset. */
  get endOffset(): number {
    return this.baseOffset + this.encoded.length;
  }

  /** The encoded `log.v1.Record` messages. */
  get encodedRecords(): readonly Uint8Array[] {
    return this.encoded;
  }

  *records(): Generator<ReceivedRecord, void, void> {
    let offset = this.baseOffset;
    for (const bytes of this.encoded) {
      yield decodeRecord(bytes, offset);
      offset += 1;
    }
  }
}

/** One answer of `Read` or `Tail`. */
export interface ReadChunk {
  readonly batches: readonly ReceivedBatch[];
  readonly logStartOffset: number;
  readonly highWatermark: number;
}

/** Decodes a `golog.v1.ReadResponse` without creating an object per record field. */
export function decodeReadResponse(bytes: Uint8Array): ReadChunk {
  const cursor = new WireCursor(bytes);
  const batches: ReceivedBatch[] = [];
  let logStartOffset = 0;
  let highWatermark = 0;
  while (!cursor.done) {
    const tag = cursor.varint();
    if (tag === 0x0a) {
      const start = cursor.lengthDelimited();
      batches.push(decodeBatch(new WireCursor(bytes, start, cursor.position)));
    } else if (tag === 0x10) logStartOffset = cursor.varint();
    else if (tag === 0x18) highWatermark = cursor.varint();
    else cursor.skip(tag & 7);
  }
  return { batches, logStartOffset, highWatermark };
}

function decodeBatch(cursor: WireCursor): ReceivedBatch {
  const records: Uint8Array[] = [];
  let baseOffset = 0;
  let term = 0;
  let appendTimeMs = 0;
  while (!cursor.done) {
    const tag = cursor.varint();
    if (tag === 0x22) {
      const start = cursor.lengthDelimited();
      records.push(cursor.bytes.subarray(start, cursor.position));
    } else if (tag === 0x08) baseOffset = cursor.varint();
    else if (tag === 0x10) term = cursor.varint();
    else if (tag === 0x1a) {
      const start = cursor.lengthDelimited();
      appendTimeMs = decodeTimestampMs(new WireCursor(cursor.bytes, start, cursor.position));
    } else cursor.skip(tag & 7);
  }
  return new ReceivedBatch(baseOffset, term, appendTimeMs, records);
}

function decodeTimestampMs(cursor: WireCursor): number {
  let seconds = 0;
  let nanos = 0;
  while (!cursor.done) {
    const tag = cursor.varint();
    if (tag === 0x08) seconds = cursor.varint();
    else if (tag === 0x10) nanos = cursor.varint();
    else cursor.skip(tag & 7);
  }
  return seconds * 1_000 + Math.floor(nanos / 1_000_000);
}

function decodeRecord(bytes: Uint8Array, offset: number): ReceivedRecord {
  const cursor = new WireCursor(bytes);
  let value: Uint8Array = noBytes;
  let key: Uint8Array = noBytes;
  let headers: Map<string, Uint8Array> | undefined;
  while (!cursor.done) {
    const tag = cursor.varint();
    if ((tag & 7) !== WireType.bytes) {
      cursor.skip(tag & 7);
      continue;
    }
    const start = cursor.lengthDelimited();
    if (tag === 0x0a) value = bytes.subarray(start, cursor.position);
    else if (tag === 0x32) key = bytes.subarray(start, cursor.position);
    else if (tag === 0x3a) {
      headers ??= new Map();
      decodeHeader(new WireCursor(bytes, start, cursor.position), headers);
    }
  }
  return { offset, value, key, headers: headers ?? noHeaders };
}

function decodeHeader(cursor: WireCursor, headers: Map<string, Uint8Array>): void {
  let name = '';
  let value: Uint8Array = noBytes;
  while (!cursor.done) {
    const tag = cursor.varint();
    if ((tag & 7) !== WireType.bytes) throw new MalformedResponseError('a header is not a name and bytes');
    const start = cursor.lengthDelimited();
    const field = cursor.bytes.subarray(start, cursor.position);
    if (tag === 0x0a) name = Buffer.from(field.buffer, field.byteOffset, field.length).toString('utf8');
    else if (tag === 0x12) value = field;
  }
  headers.set(name, value);
}
