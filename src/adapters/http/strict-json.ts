import { InvalidInputError } from '../../domain/log/errors.js';
import { afterSpace, endOfString, JsonCode } from './json-scan.js';

const depthMax = 16;
/** Strings and punctuation of a text that is parsed by `parseStrictJson`: a record with 3,000 headers. */
const tokensMax = 12_288;

const { quote, colon, comma, openBrace, openBracket, closeBrace, closeBracket } = JsonCode;

function isToken(code: number): boolean {
  return code === openBrace || code === openBracket || code === colon || code === comma;
}

/** What a JSON text is made of. Strings count as nothing, whatever is in them. */
export interface JsonSize {
  readonly objects: number;
  /** Objects, arrays, colons and commas: no text has more names and values than about these. */
  readonly tokens: number;
}

/** No message of ours is nested as deeply as this. */
const messageDepthMax = 100;

/**
 * Counts without parsing. Stops where there are more than so many tokens. Throws `InvalidInputError` for a text that is
 * nested too deeply: no parser should see it.
 */
export function jsonSizeOf(text: string, tokensMax: number): JsonSize {
  let objects = 0;
  let tokens = 0;
  let depth = 0;
  for (let at = 0; at < text.length && tokens <= tokensMax; at += 1) {
    const code = text.charCodeAt(at);
    if (code === quote) at = endOfString(text, at) - 1;
    else if (code === closeBrace || code === closeBracket) depth -= 1;
    else if (isToken(code)) {
      tokens += 1;
      if (code === openBrace) objects += 1;
      if (code === openBrace || code === openBracket) depth += 1;
      if (depth > messageDepthMax)
        throw new InvalidInputError(`the JSON is nested deeper than ${messageDepthMax} levels`);
    }
  }
  return { objects, tokens };
}

function tooManyTokens(): InvalidInputError {
  return new InvalidInputError(`the JSON has more than ${tokensMax} names and values. Expected fewer headers`);
}

/** Refuses what `JSON.parse` lets pass: the same key twice in an object (it keeps the last), deep nesting, and too much. */
function checkStructure(text: string): void {
  const keys: (Set<string> | undefined)[] = [];
  let tokens = 0;
  let at = 0;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      const end = endOfString(text, at);
      if (end > text.length) return;
      const seen = keys.at(-1);
      if (seen !== undefined && text.charCodeAt(afterSpace(text, end)) === colon) {
        const key = JSON.parse(text.slice(at, end)) as string;
        if (seen.has(key)) throw new InvalidInputError(`the JSON names ${JSON.stringify(key)} twice in one object`);
        seen.add(key);
      }
      at = end;
      tokens += 1;
      if (tokens > tokensMax) throw tooManyTokens();
      continue;
    }
    if (code === openBrace) keys.push(new Set());
    else if (code === openBracket) keys.push(undefined);
    else if (code === closeBrace || code === closeBracket) keys.pop();
    if (keys.length > depthMax) throw new InvalidInputError(`the JSON is nested deeper than ${depthMax} levels`);
    if (isToken(code) && (tokens += 1) > tokensMax) throw tooManyTokens();
    at += 1;
  }
}

/**
 * Parses a JSON text from outside: UTF-8 without errors, no key twice in one object, at most 16 levels, and not so many
 * names and values that the event loop is held up.
 * Throws `InvalidInputError` naming what is wrong.
 */
export function parseStrictJson(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new InvalidInputError('the body is not UTF-8', { cause });
  }
  try {
    checkStructure(text);
    return JSON.parse(text) as unknown;
  } catch (cause) {
    if (cause instanceof InvalidInputError) throw cause;
    const reason = cause instanceof Error ? cause.message : 'syntax error';
    throw new InvalidInputError(`the body is not JSON: ${reason}`, { cause });
  }
}

const digitZero = 0x30;
const digitNine = 0x39;
/** From its first digit on: the sign does not matter here. */
const numberToken = /\d[\d.eE+-]*/y;

/**
 * Refuses a JSON text with a number above 2^53 - 1, which JSON parsers round; as a string it is carried exactly.
 * Accepts text that is not JSON. Throws `InvalidInputError`.
 */
export function checkNumbersExact(text: string): void {
  // No number is that large with fewer digits or without an exponent.
  if (!/\d{16}|\d[eE]|\d\.\d*[eE]/.test(text)) return;
  for (let at = 0; at < text.length;) {
    const code = text.charCodeAt(at);
    if (code < digitZero || code > digitNine) {
      at = code === quote ? endOfString(text, at) : at + 1;
      continue;
    }
    numberToken.lastIndex = at;
    const [token = ''] = numberToken.exec(text) ?? [];
    if (Number(token) > Number.MAX_SAFE_INTEGER)
      throw new InvalidInputError(
        `${text.slice(text[at - 1] === '-' ? at - 1 : at, at + Math.min(token.length, 40))} is a number above 9007199254740991, which JSON does not carry exactly. Expected a string`,
      );
    at += token.length;
  }
}
