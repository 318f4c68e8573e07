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

/** Decodes the text of a JSON message, whatever it came in. Throws as `checkJson`. */
export function decodeJson(bytes: Uint8Array | undefined): string {
  const text = new TextDecoder().decode(bytes);
  checkJson(text);
  return text;
}
