import type { QueryFilter } from './message.js';

const expressionLengthMax = 1024;
/** What stands for more than itself in RE2, besides what is understood here: `^`, `$`, `.`, `.*` and `\` before these. */
const notUnderstood = '*+?()[]{}|^$';
const escapable = new Set('\\.+*?()|[]{}^$-');

/** A character, or any: `undefined`. */
type Pattern = readonly (string | undefined)[];

/** Whether a query with these filters is for this node. */
export function isForNode(filters: readonly QueryFilter[], name: string, tags: ReadonlyMap<string, string>): boolean {
  return filters.every((filter) =>
    filter.type === 'nodes'
      ? filter.names.includes(name)
      : matchesExpression(filter.expression, tags.get(filter.tag) ?? ''),
  );
}

/**
 * Whether `expression` is found in `text`. Understood are literals, escaped punctuation, `.`, `.*`, `^` at the start and
 * `$` at the end; an expression with anything else of RE2 matches nothing. It comes from the network: the work is at
 * most the product of both lengths, whatever it says.
 */
export function matchesExpression(expression: string, text: string): boolean {
  const parsed = expression.length > expressionLengthMax ? undefined : parse(expression);
  if (parsed === undefined) return false;
  const { patterns, atStart, atEnd } = parsed;
  // A dot of RE2 is no line break.
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

/** The parts between the `.*`. */
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
      // A quantifier on top, as in `.*?`, is refused in the next round.
      pattern = [];
      patterns.push(pattern);
      index += 1;
    } else if (character === '.') pattern.push(undefined);
    else if (character === '\\') {
      if (next === undefined || !escapable.has(next)) return undefined;
      pattern.push(next);
      index += 1;
    } else if (character === '$' && next === undefined) atEnd = true;
    else if (character === undefined || notUnderstood.includes(character)) return undefined;
    else pattern.push(character);
  }
  return { patterns, atStart, atEnd };
}
