import { InvalidInputError, TooLargeError, TooManyRecordsError } from './errors.js';
import type { Offset } from './offsets.js';
import { toOffset } from './offsets.js';
import type { RecordBatch, Records } from './record-batch.js';
import { RecordFramer, recordFits, storedRecordTag } from './record-framing.js';
import { WireReader, malformed, varintBytes } from './wire-reader.js';

export interface RecordLimits {
  /** Maximum size of one encoded record. */
  readonly recordBytesMax: number;
  /** Maximum size of a batch's payload, including a tag and a length for each record. */
  readonly batchBytesMax: number;
}

/**
 * Most records of a batch that is accepted. Readers of single records cost a message a record, so that it is the number
 * and not the bytes that counts: a mebibyte may hold half a million. Logs written before there was this limit may have
 * batches with more, which are read like any other.
 */
export const batchRecordsMax = 65_536;

export const defaultRecordLimits: RecordLimits = { recordBytesMax: 1 << 20, batchBytesMax: 1 << 20 };

/** The tags of `golog.v1.AppendRequest` (and of `log.v1.ProduceRequest`, whose only field is `records`). */
const RequestTag = { records: 0x0a, expectedOffset: 0x10, producer: 0x1a } as const;

/** The records of an `AppendRequest`, and its other fields. */
export interface TakenRecords {
  readonly records: Records;
  readonly expectedOffset: bigint | undefined;
  /** The encoded `golog.v1.Producer`. */
  readonly producer: Uint8Array | undefined;
}

/**
 * Extracts the records from the wire bytes of a `golog.v1.AppendRequest` or a `log.v1.ProduceRequest`. Takes ownership
 * of `request`: the payload is usually a view of it, modified in place.
 *
 * Rejects everything that a protobuf reader could fail on later, and drops the server's fields. Unknown fields of a
 * record are stored unchanged, unknown fields of the request are dropped. Throws `InvalidInputError` (framing, or no
 * record at all), `TooLargeError`, both with the record's number, and `TooManyRecordsError`.
 */
export function takeRecords(request: Uint8Array, limits: RecordLimits): TakenRecords {
  return takeRun(request, limits) ?? takeScattered(request, limits);
}

/**
 * The fast path: a single run of clean records, whose tags are changed in place to those of the stored form. Returns
 * `undefined`, and leaves the request unchanged, for any other request.
 */
function takeRun(request: Uint8Array, limits: RecordLimits): TakenRecords | undefined {
  const reader = new WireReader(request, 0, request.length);
  let runStart = -1;
  let runEnd = -1;
  let count = 0;
  let expectedOffset: bigint | undefined;
  let producer: Uint8Array | undefined;
  while (reader.at < request.length) {
    const at = reader.at;
    const tag = request[at];
    if (tag === RequestTag.records) {
      if (runStart < 0) runStart = at;
      else if (runEnd !== at) return restoreTags(request, runStart, runEnd);
      reader.at = at + 1;
      const length = reader.length();
      if (length === malformed) throw recordTooLong(count);
      const end = reader.at + length;
      if (!recordFits(reader, end, count)) return restoreTags(request, runStart, runEnd);
      if (length > limits.recordBytesMax) throw new TooLargeError('record', length, limits.recordBytesMax, count);
      if (count === batchRecordsMax) throw new TooManyRecordsError(batchRecordsMax);
      request[at] = storedRecordTag;
      runEnd = end;
      count++;
    } else if (tag === RequestTag.expectedOffset) {
      reader.at = at + 1;
      expectedOffset = reader.uint64();
      if (expectedOffset === undefined)
        throw new InvalidInputError('expected_offset is malformed: expected a varint of up to 64 bits');
    } else if (tag === RequestTag.producer) {
      reader.at = at + 1;
      producer = takeProducer(reader, producer);
    } else {
      return restoreTags(request, runStart, runEnd);
    }
  }
  if (count === 0) return undefined;
  const payload = request.subarray(runStart, runEnd);
  checkBatchSize(payload.length, limits);
  return { records: { payload, count }, expectedOffset, producer };
}

/** Protobuf would merge a second one, which no client sends. */
function takeProducer(reader: WireReader, before: Uint8Array | undefined): Uint8Array {
  const length = reader.length();
  if (length === malformed) throw new InvalidInputError('producer is malformed: its length exceeds the request');
  if (before !== undefined) throw new InvalidInputError('the request has producer more than once');
  const start = reader.at;
  reader.at += length;
  return reader.bytes.subarray(start, reader.at);
}

function restoreTags(request: Uint8Array, runStart: number, runEnd: number): undefined {
  if (runEnd < 0) return;
  const reader = new WireReader(request, runStart, runEnd);
  while (reader.at < runEnd) {
    request[reader.at] = RequestTag.records;
    reader.at++;
    const length = reader.length();
    reader.at += length;
  }
}

function takeScattered(request: Uint8Array, limits: RecordLimits): TakenRecords {
  const reader = new WireReader(request, 0, request.length);
  const framer = new RecordFramer(new Uint8Array(request.length));
  let expectedOffset: bigint | undefined;
  let producer: Uint8Array | undefined;
  while (reader.at < request.length) {
    const tag = reader.tag();
    const field = tag >>> 3;
    if (tag === malformed) throw new InvalidInputError(`the request has a malformed tag after record ${framer.count}`);
    if (tag === RequestTag.records) {
      const length = reader.length();
      if (length === malformed) throw recordTooLong(framer.count);
      addRecord(framer, reader, reader.at + length, limits);
    } else if (tag === RequestTag.expectedOffset) {
      expectedOffset = reader.uint64();
      if (expectedOffset === undefined)
        throw new InvalidInputError('expected_offset is malformed: expected a varint of up to 64 bits');
    } else if (tag === RequestTag.producer) {
      producer = takeProducer(reader, producer);
    } else if (field >= 1 && field <= 3) {
      throw new InvalidInputError(
        `field ${field} of the request has wire type ${tag & 7}, expected ${field === 2 ? 0 : 2}`,
      );
    } else if (reader.skip(tag) === malformed) {
      throw new InvalidInputError(`field ${field} of the request is malformed`);
    }
  }
  return { records: framedBy(framer, limits), expectedOffset, producer };
}

/**
 * The one record of the wire bytes of a `log.v1.ProduceRequest`, which may come in parts: protobuf merges a message
 * field that is there more than once, as if the encodings were one. Otherwise as `takeRecords`.
 */
export function takeRecord(request: Uint8Array, limits: RecordLimits): Records {
  const { records } = takeRecords(request, limits);
  if (records.count === 1) return records;
  const { payload } = records;
  const merged = new Uint8Array(payload.length);
  let at = 0;
  forEachRecord(payload, (start, end) => {
    merged.set(payload.subarray(start, end), at);
    at += end - start;
  });
  return frameRecords([merged.subarray(0, at)], limits);
}

/**
 * Builds a payload from encoded `log.v1.Record` messages, validated and stripped as in `takeRecords`.
 * Throws `InvalidInputError`, `TooLargeError` and `TooManyRecordsError`.
 */
export function frameRecords(encoded: readonly Uint8Array[], limits: RecordLimits): Records {
  let bytesMax = 0;
  for (const record of encoded) bytesMax += 1 + varintBytes(record.length) + record.length;
  const framer = new RecordFramer(new Uint8Array(bytesMax));
  for (const record of encoded) addRecord(framer, new WireReader(record, 0, record.length), record.length, limits);
  return framedBy(framer, limits);
}

function addRecord(framer: RecordFramer, reader: WireReader, end: number, { recordBytesMax }: RecordLimits): void {
  if (framer.count === batchRecordsMax) throw new TooManyRecordsError(batchRecordsMax);
  const bytes = framer.add(reader, end);
  if (bytes > recordBytesMax) throw new TooLargeError('record', bytes, recordBytesMax, framer.count - 1);
}

function framedBy({ payload, at, count }: RecordFramer, limits: RecordLimits): Records {
  if (count === 0) throw new InvalidInputError('the batch has no record: expected at least one');
  checkBatchSize(at, limits);
  return { payload: payload.subarray(0, at), count };
}

function checkBatchSize(size: number, limits: RecordLimits): void {
  if (size > limits.batchBytesMax) throw new TooLargeError('batch', size, limits.batchBytesMax);
}

function recordTooLong(recordNumber: number): InvalidInputError {
  return new InvalidInputError(`record ${recordNumber} of the batch: its length is malformed or exceeds the request`);
}

/**
 * Visits the records of a payload one after the other: `start` and `end` of its encoded `log.v1.Record`.
 * Throws as `forEachRecord`.
 */
export class RecordCursor {
  start = 0;
  readonly #reader: WireReader;
  #recordNumber = 0;

  constructor(readonly payload: Uint8Array) {
    this.#reader = new WireReader(payload, 0, payload.length);
  }

  get end(): number {
    return this.#reader.at;
  }

  /** Moves to the next record, at first to the first one; returns false after the last. */
  next(): boolean {
    if (this.#reader.at >= this.payload.length) return false;
    this.start = nextRecord(this.#reader, this.#recordNumber);
    this.#recordNumber += 1;
    return true;
  }
}

/**
 * Calls `visit` for each record of a validated payload with the bounds of its encoded `log.v1.Record` and its number,
 * from 0. Throws `InvalidInputError` if the payload is not well framed.
 */
export function forEachRecord(
  payload: Uint8Array,
  visit: (start: number, end: number, recordNumber: number) => void,
): void {
  const reader = new WireReader(payload, 0, payload.length);
  for (let recordNumber = 0; reader.at < payload.length; recordNumber++) {
    const start = nextRecord(reader, recordNumber);
    visit(start, reader.at, recordNumber);
  }
}

/** Yields the encoded `log.v1.Record`s of a validated payload as views of it. Throws as `forEachRecord` does. */
export function* recordsOf(payload: Uint8Array): Generator<Uint8Array, void, void> {
  const reader = new WireReader(payload, 0, payload.length);
  for (let recordNumber = 0; reader.at < payload.length; recordNumber++) {
    const start = nextRecord(reader, recordNumber);
    yield payload.subarray(start, reader.at);
  }
}

/** Moves past one record and returns where its encoded message starts. */
function nextRecord(reader: WireReader, recordNumber: number): number {
  const tag = reader.bytes[reader.at++];
  const length = reader.length();
  if (tag !== storedRecordTag || length === malformed)
    throw new InvalidInputError(`the payload is malformed at record ${recordNumber}`);
  const start = reader.at;
  reader.at = start + length;
  return start;
}

/**
 * Moves past `count` records, the first of which has number `recordNumber`. Fast, since it may skip 500,000 short
 * records.
 */
function skipRecords(reader: WireReader, recordNumber: number, count: number): void {
  const { bytes } = reader;
  for (let skipped = 0; skipped < count; skipped++) {
    const length = bytes[reader.at + 1];
    const end = reader.at + 2 + length;
    if (length < 0x80 && bytes[reader.at] === storedRecordTag && end <= reader.end) reader.at = end;
    else nextRecord(reader, recordNumber + skipped);
  }
}

/**
 * Returns the part of a record batch that starts at `fromOffset` (or at its base, if that is higher) and has at most
 * `recordsMax` records. The payload is a view; the header stays that of the whole batch and does not match the part.
 */
export function sliceBatch(batch: RecordBatch, fromOffset: Offset, recordsMax: number): RecordBatch {
  const skipped = Math.min(Math.max(fromOffset - batch.baseOffset, 0), batch.recordCount);
  const taken = Math.min(recordsMax, batch.recordCount - skipped);
  if (taken === batch.recordCount) return batch;
  const reader = new WireReader(batch.payload, 0, batch.payload.length);
  skipRecords(reader, 0, skipped);
  const start = reader.at;
  if (skipped + taken === batch.recordCount) reader.at = batch.payload.length;
  else skipRecords(reader, skipped, taken);
  return {
    ...batch,
    baseOffset: toOffset(batch.baseOffset + skipped),
    recordCount: taken,
    payload: batch.payload.subarray(start, reader.at),
  };
}
