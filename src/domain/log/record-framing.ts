import { InvalidInputError } from './errors.js';
import { HeaderTag, RecordTag } from './record.js';
import { WireReader, WireType, malformed, varintBytes, writeVarint } from './wire-reader.js';

/** The tag in front of each record of a payload: field 4 of `golog.v1.RecordBatch`, length-delimited. */
export const storedRecordTag = 0x22;

const firstServerField = 2;
const lastServerField = 5;

/** The wire types of the fields of `log.v1.Record`, by number: a reader that trusts them would lose its place. */
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
 * Checks the record from the reader's place to `end` and moves past it. True when its bytes can be stored as they
 * are; false when it is well-formed but must be written anew (server's fields, tags of more than one byte).
 * Throws `InvalidInputError` naming `place`.
 */
export function recordFits(reader: WireReader, end: number, place: number): boolean {
  const outerEnd = reader.end;
  reader.end = end;
  let fits = true;
  while (reader.at < end) {
    const short = reader.bytes[reader.at] <= 0x7f;
    const tag = reader.tag();
    if (tag === RecordTag.value || tag === RecordTag.key) {
      const length = reader.length();
      if (length === malformed) throw recordError(place, `the length of field ${tag >>> 3} reaches beyond it`);
      reader.at += length;
      if (!short) fits = false;
    } else if (!checkRareField(reader, tag, place) || !short) {
      fits = false;
    }
  }
  reader.end = outerEnd;
  return fits;
}

/** False for a field that is not to be stored. */
function checkRareField(reader: WireReader, tag: number, place: number): boolean {
  if (tag === malformed) throw recordError(place, 'it has a malformed tag');
  const field = tag >>> 3;
  if (tag === RecordTag.headers) {
    checkHeader(reader, place);
    return true;
  }
  const expected = wireTypes.at(field);
  if (expected !== undefined && expected !== (tag & 7))
    throw recordError(place, `field ${field} has wire type ${tag & 7}, expected ${expected}`);
  if (reader.skip(tag) === malformed) throw recordError(place, `field ${field} is malformed or a group`);
  return field < firstServerField || field > lastServerField;
}

/** An entry of the `headers` map: key (UTF-8) and value, nothing else: not every reader passes over unknown fields. */
function checkHeader(reader: WireReader, place: number): void {
  const length = reader.length();
  if (length === malformed) throw recordError(place, 'the length of a header reaches beyond it');
  const recordEnd = reader.end;
  const end = reader.at + length;
  reader.end = end;
  while (reader.at < end) {
    const tag = reader.bytes[reader.at++];
    const fieldLength = reader.length();
    if ((tag !== HeaderTag.key && tag !== HeaderTag.value) || fieldLength === malformed)
      throw recordError(place, 'a header is not an entry of a key and a value');
    if (tag === HeaderTag.key && !isUtf8(reader.bytes, reader.at, reader.at + fieldLength))
      throw recordError(place, 'the name of a header is not UTF-8');
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

/** Writes records into a payload one after the other, each checked, and as it is stored. */
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

/** Writes a checked record without the server's fields and with minimal tags; returns the position after it. */
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

function recordError(place: number, what: string): InvalidInputError {
  return new InvalidInputError(`record ${place} of the batch: ${what}`);
}
