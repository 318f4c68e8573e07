const named = new Map([
  [0x07, '\\a'],
  [0x08, '\\b'],
  [0x09, '\\t'],
  [0x0a, '\\n'],
  [0x0b, '\\v'],
  [0x0c, '\\f'],
  [0x0d, '\\r'],
  [0x22, '\\"'],
  [0x5c, '\\\\'],
]);

const printable = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;

/** Quotes bytes like Go's `%q`: printable UTF-8 is unchanged, everything else is escaped. */
export function quote(bytes: Uint8Array): string {
  let out = '"';
  for (let at = 0; at < bytes.length;) {
    const length = runeLength(bytes, at);
    const code = length === 0 ? undefined : decodeRune(bytes, at, length);
    out += code === undefined ? `\\x${hexDigits(bytes[at] ?? 0, 2)}` : quoteRune(code);
    at += Math.max(length, 1);
  }
  return `${out}"`;
}

function quoteRune(code: number): string {
  const escape = named.get(code);
  if (escape !== undefined) return escape;
  const rune = String.fromCodePoint(code);
  if (printable.test(rune)) return rune;
  if (code < 0x20 || code === 0x7f) return `\\x${hexDigits(code, 2)}`;
  return code < 0x1_0000 ? `\\u${hexDigits(code, 4)}` : `\\U${hexDigits(code, 8)}`;
}

/** Returns the length of the valid UTF-8 sequence at `at`, or 0. */
function runeLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  const length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  for (let next = at + 1; next < at + length; next += 1) {
    if (((bytes[next] ?? 0) & 0xc0) !== 0x80) return 0;
  }
  const code = decodeRune(bytes, at, length);
  const shortest = length === 3 ? 0x800 : length === 4 ? 0x1_0000 : 0;
  const isSurrogate = code >= 0xd800 && code <= 0xdfff;
  return code < shortest || code > 0x10_ffff || isSurrogate ? 0 : length;
}

function decodeRune(bytes: Uint8Array, at: number, length: number): number {
  const first = bytes[at] ?? 0;
  let code = length === 1 ? first : first & (0x7f >> length);
  for (let next = at + 1; next < at + length; next += 1) code = code * 0x40 + ((bytes[next] ?? 0) & 0x3f);
  return code;
}

function hexDigits(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
