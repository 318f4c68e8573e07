import { InvalidInputError } from '../../domain/log/errors.js';

// Where the parts of a JSON text begin and end, without making anything of them. They trust the text only so far that
// they always come to an end; `JSON.parse` says what is wrong with it.

export const JsonCode = {
  quote: 0x22,
  backslash: 0x5c,
  colon: 0x3a,
  comma: 0x2c,
  openBrace: 0x7b,
  openBracket: 0x5b,
  closeBrace: 0x7d,
  closeBracket: 0x5d,
} as const;

const { quote, backslash, colon, comma, openBrace, openBracket, closeBrace, closeBracket } = JsonCode;

/** The index just past the string that opens at `start`; past the text when it never closes. */
export function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === quote) return at + 1;
    at += code === backslash ? 2 : 1;
  }
  return text.length + 1;
}

const space = 0x20;

/** The index of what follows the white space, if there is any. */
export function afterSpace(text: string, from: number): number {
  let at = from;
  for (; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code !== space && (code < 0x09 || code > 0x0d || code === 0x0b || code === 0x0c)) return at;
  }
  return at;
}

/** The index just past the value that begins at `start`, at most the text's length. */
function endOfValue(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length;) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      at = endOfString(text, at);
      if (depth === 0) return Math.min(at, text.length);
      continue;
    }
    if (code === openBrace || code === openBracket) depth += 1;
    else if (code === closeBrace || code === closeBracket) {
      if (depth === 0) return at;
      depth -= 1;
      if (depth === 0) return at + 1;
    } else if (depth === 0 && (code === comma || code === colon || code === space || code < space)) return at;
    at += 1;
  }
  return text.length;
}

/** Whether the text, a string in quotes, says `name`: any character may be escaped. */
function isName(quoted: string, name: string): boolean {
  if (!quoted.includes('\\')) return quoted.slice(1, -1) === name;
  try {
    return JSON.parse(quoted) === name;
  } catch {
    return false;
  }
}

/**
 * Where the list `name` of the text's outermost object opens; undefined when there is no such list. Throws
 * `InvalidInputError` when the object has the name twice: parsers take the last, and drop what the first has.
 */
export function findList(text: string, name: string): number | undefined {
  let found: number | undefined;
  let at = afterSpace(text, 0);
  for (let before: number = openBrace; text.charCodeAt(at) === before; before = comma) {
    at = afterSpace(text, at + 1);
    if (text.charCodeAt(at) !== quote) break;
    const nameEnd = endOfString(text, at);
    const colonAt = afterSpace(text, nameEnd);
    if (text.charCodeAt(colonAt) !== colon) break;
    const isNamed = isName(text.slice(at, nameEnd), name);
    at = afterSpace(text, colonAt + 1);
    if (isNamed && found !== undefined) throw new InvalidInputError(`the JSON names "${name}" twice in one object`);
    if (isNamed) found = at;
    at = afterSpace(text, endOfValue(text, at));
  }
  return found !== undefined && text.charCodeAt(found) === openBracket ? found : undefined;
}

/**
 * The texts of the elements of the list that opens at `start`, one by one; returns the index just past it. Where the text
 * is not a list it gives an empty element, which is not JSON, and would do so for ever: stop there.
 */
export function* elementsOf(text: string, start: number): Generator<string, number, void> {
  let at = afterSpace(text, start + 1);
  if (text.charCodeAt(at) === closeBracket) return at + 1;
  for (;;) {
    const end = endOfValue(text, at);
    yield text.slice(at, end);
    at = afterSpace(text, end);
    if (text.charCodeAt(at) === closeBracket) return at + 1;
    if (text.charCodeAt(at) === comma) at = afterSpace(text, at + 1);
    else yield '';
  }
}
