const quote = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/**
 * Returns a name that one object of a JSON text has twice, whether or not a character of it is escaped; undefined if
 * all names differ. `JSON.parse` would keep the last value and drop the first.
 *
 * @param json a text that `JSON.parse` accepts
 */
export function repeatedName(json: string): string | undefined {
  const objects: Set<string>[] = [];
  for (let at = 0; at < json.length; at += 1) {
    const code = json.charCodeAt(at);
    if (code === openBrace) objects.push(new Set());
    else if (code === closeBrace) objects.pop();
    else if (code === quote) {
      const end = endOfString(json, at);
      if (isName(json, end)) {
        const name = JSON.parse(json.slice(at, end)) as string;
        const names = objects.at(-1);
        if (names?.has(name) === true) return name;
        names?.add(name);
      }
      at = end - 1;
    }
  }
  return undefined;
}

/** The index just past the string that opens at `start`. */
function endOfString(json: string, start: number): number {
  let at = start + 1;
  for (; json.charCodeAt(at) !== quote; at += 1) if (json.charCodeAt(at) === backslash) at += 1;
  return at + 1;
}

/** Whether a colon follows, so that the string that ends here is a name and not a value. */
function isName(json: string, end: number): boolean {
  let at = end;
  while (' \t\r\n'.includes(json.charAt(at)) && at < json.length) at += 1;
  return json.charAt(at) === ':';
}
