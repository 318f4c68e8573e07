import { InvalidInputError } from './errors.js';
import { HeaderTag, RecordTag } from './record.js';
import { WireReader, WireType, malformed, varintBytes, writeVarint } from './wire-reader.js';

/** The tag in front of each record of a payload: field 4 of `golog.v1.RecordBatch`, length-delimited. */
export const storedRecordTag = 0x22;

const firstServerField = 2;
const lastServerField = 5;

/**
 * The wire types of the fields of `log.v1.Record`, by number. Other types are rejected: a generated reader would
 * misparse them.
 */
const wireTypes: readonly (number | undefined)[] = [
  undefined,
  WireType.bytes,
  WireType.varint,
  WireType.varint,
  WireType.varint,
  WireType.bytes,
  WireType.bytes,
  WireType.bytes,
];

/**
 * Validates the record from the cursor to `end` and moves past it. Returns true if its bytes can be stored unchanged;
 * false if it is well-formed but must be rewritten (it has server fields, or tags longer than one byte). Throws
 * `InvalidInputError` with `recordNumber` in its message.
 */
export function recordFits(reader: WireReader, end: number, recordNumber: number): boolean {
  const outerEnd = reader.end;
  reader.end = end;
  let fits = true;
  while (reader.at < end) {
    const short = reader.bytes[reader.at] <= 0x7f;
    const tag = reader.tag();
    if (tag === RecordTag.value || tag === RecordTag.key) {
      const length = reader.length();
      if (length === malformed) throw recordError(recordNumber, `the length of field ${tag >>> 3} exceeds the record`);
      reader.at += length;
      if (!short) fits = false;
    } else if (!checkRareField(reader, tag, recordNumber) || !short) {
      fits = false;
    }
  }
  reader.end = outerEnd;
  return fits;
}

/** Validates a field; returns false if it must not be stored. */
function checkRareField(reader: WireReader, tag: number, recordNumber: number): boolean {
  if (tag === malformed) throw recordError(recordNumber, 'it has a malformed tag');
  const field = tag >>> 3;
  if (tag === RecordTag.headers) {
    checkHeader(reader, recordNumber);
    return true;
  }
  const expected = wireTypes.at(field);
  if (expected !== undefined && expected !== (tag & 7))
    throw recordError(recordNumber, `field ${field} has wire type ${tag & 7}, expected ${expected}`);
  if (reader.skip(tag) === malformed) throw recordError(recordNumber, `field ${field} is malformed or a group`);
  return field < firstServerField || field > lastServerField;
}

/**
 * Validates an entry of the `headers` map: a key (UTF-8) and a value, nothing else, since not every reader skips
 * unknown fields.
 */
function checkHeader(reader: WireReader, recordNumber: number): void {
  const length = reader.length();
  if (length === malformed) throw recordError(recordNumber, 'the length of a header exceeds the record');
  const recordEnd = reader.end;
  const end = reader.at + length;
  reader.end = end;
  while (reader.at < end) {
    const tag = reader.bytes[reader.at++];
    const fieldLength = reader.length();
    if ((tag !== HeaderTag.key && tag !== HeaderTag.value) || fieldLength === malformed)
      throw recordError(recordNumber, 'a header is malformed: expected a key and a value');
    if (tag === HeaderTag.key && !isUtf8(reader.bytes, reader.at, reader.at + fieldLength))
      throw recordError(recordNumber, 'the name of a header is not UTF-8');
    reader.at += fieldLength;
  }
  reader.end = recordEnd;
}

const utf8Decoder = new TextDecoder('utf-8', { fatal: true });

function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] > 0x7f) return decodes(bytes.subarray(at, end));
  return true;
}

function decodes(bytes: Uint8Array): boolean {
  try {
    utf8Decoder.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Writes records into a payload one after the other: validated, and as they are stored. */
export class RecordFramer {
  /** Where the next record begins. */
  at = 0;
  count = 0;

  /** `payload` has space for the records with their tags and lengths as they came. */
  constructor(readonly payload: Uint8Array) {}

  /**
   * Writes the record from the reader's position to `end` and moves past it; returns the bytes that are stored of it,
   * without tag and length.
   */
  add(reader: WireReader, end: number): number {
    const { payload, at } = this;
    const { bytes, at: start } = reader;
    const contentAt = at + 1 + varintBytes(end - start);
    const contentEnd = recordFits(reader, end, this.count)
      ? copyBytes(payload, contentAt, bytes, start, end)
      : writeStripped(payload, contentAt, bytes, start, end);
    const length = contentEnd - contentAt;
    payload[at] = storedRecordTag;
    const lengthEnd = writeVarint(payload, at + 1, length);
    if (lengthEnd < contentAt) payload.copyWithin(lengthEnd, contentAt, contentEnd);
    this.at = lengthEnd + length;
    this.count += 1;
    return length;
  }
}

/** Writes a validated record without the server's fields and with minimal tags; returns the position after it. */
function writeStripped(out: Uint8Array, outAt: number, bytes: Uint8Array, start: number, end: number): number {
  const reader = new WireReader(bytes, start, end);
  while (reader.at < end) {
    const tag = reader.tag();
    const valueAt = reader.at;
    reader.skip(tag);
    const field = tag >>> 3;
    if (field >= firstServerField && field <= lastServerField) continue;
    outAt = copyBytes(out, writeVarint(out, outAt, tag), bytes, valueAt, reader.at);
  }
  return outAt;
}

/** Fewer bytes are copied faster one by one than as a view. */
const viewBytesMin = 64;

function copyBytes(out: Uint8Array, outAt: number, bytes: Uint8Array, start: number, end: number): number {
  if (end - start >= viewBytesMin) out.set(bytes.subarray(start, end), outAt);
  else for (let at = start; at < end; at++) out[outAt + at - start] = bytes[at];
  return outAt + end - start;
}

function recordError(recordNumber: number, what: string): InvalidInputError {
  return new InvalidInputError(`record ${recordNumber} of the batch: ${what}`);
}
