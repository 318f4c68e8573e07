/** Control characters, and those that reorder text: printed, they would control the terminal. */
const controls = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
/** As `controls`, without newlines, tabs, and what ends a line of Windows. */
const controlsInLines = /(?!\r?\n|\t|\r$)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

const escaped = (character: string): string => `\\u{${character.codePointAt(0)?.toString(16)}}`;

/** Escapes control characters and line ends, for text that is to stay within a line. */
export function printable(text: string): string {
  return text.replace(controls, escaped);
}

/** Escapes control characters, for text of several lines. */
export function printableLines(text: string): string {
  return text.replace(controlsInLines, escaped);
}

/** Escapes control characters in a JSON text, which stays the same JSON: `JSON.stringify` leaves some of them. */
export function printableJson(json: string): string {
  return json.replace(/(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    Array.from(
      { length: character.length },
      (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
}
