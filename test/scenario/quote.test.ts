import { describe, expect, it } from '@jest/globals';
import { quote } from './quote.js';

const bytes = (...values: (number | string)[]): Uint8Array =>
  Buffer.concat(values.map((value) => (typeof value === 'string' ? Buffer.from(value) : Buffer.of(value))));

describe('quote', () => {
  it.each([
    ['plain text', bytes('foo bar'), '"foo bar"'],
    ['nothing', bytes(), '""'],
    ['quotes and backslashes', bytes('"\\'), '"\\"\\\\"'],
    ['control characters', bytes(0, 7, 8, 9, 10, 11, 12, 13, 0x1b, 0x7f), '"\\x00\\a\\b\\t\\n\\v\\f\\r\\x1b\\x7f"'],
    ['letters and symbols outside ASCII', bytes('ä∞😀\ufffd'), '"ä∞😀\ufffd"'],
    ['invisible characters', bytes('\u00a0\u200b\u{e0001}'), '"\\u00a0\\u200b\\U000e0001"'],
    ['bytes that are not UTF-8', bytes(0xff, 'a', 0xc3), '"\\xffa\\xc3"'],
    ['overlong forms and surrogates', bytes(0xc0, 0x80, 0xed, 0xa0, 0x80), '"\\xc0\\x80\\xed\\xa0\\x80"'],
  ])('prints %s like Go', (_, given, expected) => {
    expect(quote(given)).toBe(expected);
  });
});
