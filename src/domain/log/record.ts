import { InvalidInputError } from './errors.js';
import { WireReader, malformed, varintBytes, writeVarint } from './wire-reader.js';

/**
 * A record as producers send it and consumers get it. Its stored form is the protobuf encoding of `log.v1.Record`
 * without the server's fields (2 to 5), so that stored bytes pass from and to the wire unchanged.
 */
export interface Record {
  readonly value: Uint8Array;
  readonly key?: Uint8Array;
  readonly headers?: ReadonlyMap<string, Uint8Array>;
}

/** The tags of the fields of `log.v1.Record` that a producer sets, and of the entries of its `headers` map. */
export const RecordTag = { value: 0x0a, key: 0x32, headers: 0x3a } as const;
export const HeaderTag = { key: 0x0a, value: 0x12 } as const;

const fieldsPerStep = 64;
const utf8Encoder = new TextEncoder();
const utf8Decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Returns the protobuf encoding of a `log.v1.Record`: value, key and headers, in that order, without empty ones.
 *
 * @throws TypeError where a field is not a Uint8Array: plain JavaScript may pass a string, which would become zeros
 */
export function encodeRecord(record: Record): Uint8Array {
  const entries: Uint8Array[] = [];
  for (const [name, value] of record.headers ?? []) {
    const key = utf8Encoder.encode(name);
    entries.push(encodeFields([HeaderTag.key, key], [HeaderTag.value, value]));
  }
  return encodeFields(
    [RecordTag.value, record.value],
    [RecordTag.key, record.key ?? noBytes],
    ...entries.map((entry): Field => [RecordTag.headers, entry]),
  );
}

/**
 * Decodes a `log.v1.Record`; ignores fields other than value, key and headers. `value` and `key` are views of `bytes`.
 * Throws `InvalidInputError`.
 */
export function decodeRecord(bytes: Uint8Array): Record {
  const steps = decodeRecordInSteps(bytes);
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/**
 * Decodes like `decodeRecord`, but yields after every few fields, to keep each step short: a record may have 500,000.
 */
export function* decodeRecordInSteps(bytes: Uint8Array): Generator<undefined, Record, void> {
  const reader = new WireReader(bytes, 0, bytes.length);
  let value: Uint8Array = noBytes;
  let key: Uint8Array | undefined;
  let headers: Map<string, Uint8Array> | undefined;
  for (let fields = 1; reader.at < bytes.length; fields++) {
    const tag = reader.tag();
    if (tag === RecordTag.value) value = fieldBytes(reader);
    else if (tag === RecordTag.key) key = fieldBytes(reader);
    else if (tag === RecordTag.headers) decodeHeader(reader, (headers ??= new Map<string, Uint8Array>()));
    else if (tag === malformed || reader.skip(tag) === malformed) throw new InvalidInputError('malformed record');
    if (fields % fieldsPerStep === 0) yield;
  }
  return { value, ...(key && { key }), ...(headers && { headers }) };
}

function decodeHeader(reader: WireReader, headers: Map<string, Uint8Array>): void {
  const length = reader.length();
  if (length === malformed) throw new InvalidInputError('a length exceeds the record');
  const recordEnd = reader.end;
  reader.end = reader.at + length;
  let name = '';
  let value: Uint8Array = noBytes;
  while (reader.at < reader.end) {
    const tag = reader.tag();
    if (tag === HeaderTag.key) name = decodeText(fieldBytes(reader));
    else if (tag === HeaderTag.value) value = fieldBytes(reader);
    else if (tag === malformed || reader.skip(tag) === malformed)
      throw new InvalidInputError('malformed record header');
  }
  reader.end = recordEnd;
  headers.set(name, value);
}

function decodeText(bytes: Uint8Array): string {
  // Most names are short, and each call of the decoder costs about a microsecond.
  if (bytes.length <= 16 && bytes.every((byte) => byte <= 0x7f)) return String.fromCharCode(...bytes);
  try {
    return utf8Decoder.decode(bytes);
  } catch (cause) {
    throw new InvalidInputError('a header name is not UTF-8', { cause });
  }
}

function fieldBytes(reader: WireReader): Uint8Array {
  const length = reader.length();
  if (length === malformed) throw new InvalidInputError('a length exceeds the record');
  return reader.bytes.subarray(reader.at, (reader.at += length));
}

type Field = readonly [tag: number, bytes: Uint8Array];

const noBytes: Uint8Array = new Uint8Array(0);

/** Omits empty fields, since readers treat a missing field as empty; an empty map entry is still an entry. */
function encodeFields(...fields: readonly Field[]): Uint8Array {
  if (!fields.every(([, bytes]) => bytes instanceof Uint8Array))
    throw new TypeError('a value, a key or a header of the record is not a Uint8Array: encode text first');
  const written = fields.filter(([tag, bytes]) => bytes.length > 0 || tag === RecordTag.headers);
  const total = written.reduce((sum, [, bytes]) => sum + 1 + varintBytes(bytes.length) + bytes.length, 0);
  const out = new Uint8Array(total);
  let at = 0;
  for (const [tag, bytes] of written) {
    out[at++] = tag;
    at = writeVarint(out, at, bytes.length);
    out.set(bytes, at);
    at += bytes.length;
  }
  return out;
}
