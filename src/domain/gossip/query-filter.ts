import type { QueryFilter } from './message.js';

const expressionLengthMax = 1024;
/** RE2's special characters, except where supported: `^`, `$`, `.`, `.*` and `\` before a special character. */
const unsupported = '*+?()[]{}|^$';
const escapable = new Set('\\.+*?()|[]{}^$-');

/** A sequence of characters; `undefined` matches any character. */
type Pattern = readonly (string | undefined)[];

/** Returns true if a query with these filters is for this node. */
export function isForNode(filters: readonly QueryFilter[], name: string, tags: ReadonlyMap<string, string>): boolean {
  return filters.every((filter) =>
    filter.type === 'nodes'
      ? filter.names.includes(name)
      : matchesExpression(filter.expression, tags.get(filter.tag) ?? ''),
  );
}

/**
 * Returns true if `expression` matches a part of `text`. Supports literals, escaped punctuation, `.`, `.*`, `^` at the
 * start and `$` at the end; an expression with other RE2 syntax matches nothing. Expressions come from the network, so
 * the work is bounded by the product of both lengths.
 */
export function matchesExpression(expression: string, text: string): boolean {
  const parsed = expression.length > expressionLengthMax ? undefined : parse(expression);
  if (parsed === undefined) return false;
  const { patterns, atStart, atEnd } = parsed;
  // A dot in RE2 does not match a line break.
  if (text.includes('\n') && (patterns.length > 1 || patterns.some((pattern) => pattern.includes(undefined))))
    return false;
  const characters = [...text];
  let from = 0;
  for (const [index, pattern] of patterns.entries()) {
    const isLast = index === patterns.length - 1;
    const latest = characters.length - pattern.length;
    const earliest = isLast && atEnd ? Math.max(from, latest) : from;
    const end = index === 0 && atStart ? Math.min(from, latest) : latest;
    const found = find(characters, pattern, earliest, end);
    if (found === undefined) return false;
    from = found + pattern.length;
  }
  return true;
}

function find(characters: readonly string[], pattern: Pattern, earliest: number, latest: number): number | undefined {
  for (let start = earliest; start <= latest; start += 1) {
    if (pattern.every((each, index) => each === undefined || each === characters[start + index])) return start;
  }
  return undefined;
}

/** Parses the patterns between the `.*`; returns undefined for unsupported syntax. */
function parse(expression: string): { patterns: Pattern[]; atStart: boolean; atEnd: boolean } | undefined {
  const characters = [...expression];
  let atEnd = false;
  const atStart = characters[0] === '^';
  let pattern: (string | undefined)[] = [];
  const patterns = [pattern];
  for (let index = atStart ? 1 : 0; index < characters.length; index += 1) {
    const character = characters[index];
    const next = characters[index + 1];
    if (character === '.' && next === '*') {
      // A further quantifier, as in `.*?`, is rejected in the next iteration.
      pattern = [];
      patterns.push(pattern);
      index += 1;
    } else if (character === '.') pattern.push(undefined);
    else if (character === '\\') {
      if (next === undefined || !escapable.has(next)) return undefined;
      pattern.push(next);
      index += 1;
    } else if (character === '$' && next === undefined) atEnd = true;
    else if (character === undefined || unsupported.includes(character)) return undefined;
    else pattern.push(character);
  }
  return { patterns, atStart, atEnd };
}
