import { InvalidInputError } from '../../domain/log/errors.js';
import { checkNumbersExact, jsonSizeOf } from './strict-json.js';
import { elementsMax, tooManyElements } from './strict-message.js';

/** An object with one name has three, the comma after it included. */
const jsonTokensMax = 3 * elementsMax;

/**
 * Throws RESOURCE_EXHAUSTED if a JSON text, or record, has more objects than `elementsMax`, or more than so many headers
 * would have names and values; `InvalidInputError` if it has a number that `JSON.parse` rounds: an offset would become
 * another.
 */
export function checkJson(text: string, what?: 'record'): void {
  if (text.length > elementsMax) {
    const { objects, tokens } = jsonSizeOf(text, jsonTokensMax);
    if (objects > elementsMax || tokens > jsonTokensMax) throw tooManyElements(what);
  }
  checkNumbersExact(text);
}

/** A string that is a timestamp of RFC 3339, and not a name; no base64 has its colons. */
const timestamps = /"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})"(?!\s*:)/g;

/** Throws `InvalidInputError` for a timestamp that the calendar does not have: parsers take 30 February for 2 March. */
function checkTimestamps(text: string): void {
  for (const [found, time = ''] of text.matchAll(timestamps)) {
    const asUtcMs = Date.parse(`${time}Z`);
    if (Number.isNaN(asUtcMs) || !new Date(asUtcMs).toISOString().startsWith(time))
      throw new InvalidInputError(`there is no such time as ${found}. Expected one such as "2026-01-31T09:30:00Z"`);
  }
}

const utf8Decoder = new TextDecoder('utf-8', { fatal: true });

/** Throws `InvalidInputError` for bytes that are not UTF-8: a name in them would become another. */
export function utf8Text(bytes: Uint8Array | undefined): string {
  try {
    return utf8Decoder.decode(bytes);
  } catch (cause) {
    throw new InvalidInputError('the message is not UTF-8', { cause });
  }
}

/**
 * Decodes the text of a JSON message, whatever it came in. Throws as `utf8Text` and `checkJson`, and for times that do
 * not exist.
 */
export function decodeJson(bytes: Uint8Array | undefined): string {
  const text = utf8Text(bytes);
  checkJson(text);
  checkTimestamps(text);
  return text;
}
