import { isUtf8 } from 'node:buffer';
import type { OutgoingRecord, ReceivedRecord } from '../../client/index.js';
import { repeatedName } from './repeated-name.js';

/** A line of NDJSON that is not a record. */
export class InvalidLineError extends Error {
  override readonly name = 'InvalidLineError';
  constructor(
    readonly line: number,
    reason: string,
  ) {
    super(`line ${line}: ${reason}`);
  }
}

type Encoding = 'utf8' | 'base64';

/** The fields of a line. `offset`, `term` and `appendTime` are printed by `golog consume`, and ignored here. */
const knownFields: ReadonlySet<string> = new Set([
  'value',
  'key',
  'headers',
  'encoding',
  'offset',
  'term',
  'appendTime',
]);
/** Half a surrogate pair, which has no UTF-8: encoding it would store U+FFFD in its place. */
const loneSurrogate = /\p{Surrogate}/u;

/** Whether the text is base64 of the standard alphabet, padded or not, and decodes without a loss of bits. */
function isBase64(text: string): boolean {
  const encoded = Buffer.from(text, 'base64').toString('base64');
  return text === encoded || text === encoded.replace(/=+$/, '');
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Parses one line of NDJSON: `{"value":"text","key":"k","headers":{"name":"text"}}`, where only `value` is required.
 * With `"encoding":"base64"` the value, the key and the header values of the line are base64.
 */
export function parseJsonRecord(line: Buffer, lineNumber: number): OutgoingRecord {
  const refuse = (reason: string): never => {
    throw new InvalidLineError(lineNumber, reason);
  };
  const toBytes = (text: unknown, name: string, encoding: Encoding): Buffer => {
    if (typeof text !== 'string') return refuse(`"${name}" must be a string`);
    if (encoding === 'base64' && !isBase64(text)) return refuse(`"${name}" is not base64`);
    if (encoding === 'utf8' && loneSurrogate.test(text))
      return refuse(`"${name}" has half a surrogate pair, which UTF-8 cannot hold; send such bytes as base64`);
    return Buffer.from(text, encoding);
  };
  const headerBytes = (name: string, text: unknown): Buffer => {
    if (loneSurrogate.test(name)) refuse(`a header name has half a surrogate pair, which UTF-8 cannot hold`);
    return toBytes(text, `headers.${name}`, encoding);
  };

  if (!isUtf8(line)) refuse('is not UTF-8');
  const json = line.toString('utf8');
  const document = ((): unknown => {
    try {
      return JSON.parse(json);
    } catch (error) {
      return refuse(`is not JSON: ${error instanceof Error ? error.message : String(error)}`);
    }
  })();
  if (!isObject(document)) return refuse('must be a JSON object, such as {"value":"text"}');
  const repeated = repeatedName(json);
  if (repeated !== undefined) refuse(`has the name ${JSON.stringify(repeated)} twice in one object`);
  for (const name of Object.keys(document)) {
    if (!knownFields.has(name))
      refuse(`unknown field ${JSON.stringify(name)}; expected ${[...knownFields].join(', ')}`);
  }

  const { value, key, headers, encoding: encodingName } = document;
  if (encodingName !== undefined && encodingName !== 'base64') refuse('"encoding" must be "base64" or absent');
  const encoding = encodingName === 'base64' ? 'base64' : 'utf8';
  if (value === undefined) refuse('has no "value"');
  if (headers !== undefined && !isObject(headers)) return refuse('"headers" must be an object of strings');
  return {
    value: toBytes(value, 'value', encoding),
    key: key === undefined ? undefined : toBytes(key, 'key', encoding),
    headers:
      headers === undefined
        ? undefined
        : new Map(Object.entries(headers).map(([name, text]) => [name, headerBytes(name, text)])),
  };
}

/** Formats a line that `parseJsonRecord` reads, with the offset, term and append time. Without a newline. */
export function formatJsonRecord(record: ReceivedRecord, term: number, appendTimeMs: number): string {
  const { offset, value, key, headers } = record;
  const encoding: Encoding = [value, key, ...headers.values()].every((bytes) => isUtf8(bytes)) ? 'utf8' : 'base64';
  const text = (bytes: Uint8Array): string =>
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString(encoding);
  return JSON.stringify({
    offset,
    term,
    appendTime: new Date(appendTimeMs).toISOString(),
    ...(key.length > 0 && { key: text(key) }),
    ...(headers.size > 0 && {
      headers: Object.fromEntries([...headers].map(([name, bytes]) => [name, text(bytes)])),
    }),
    value: text(value),
    ...(encoding === 'base64' && { encoding }),
  });
}
