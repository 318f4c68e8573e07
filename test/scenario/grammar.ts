/** `key`, `key=value` or `key=(a, b)`; without `=` there are no values. */
export interface Argument {
  readonly key: string;
  readonly values: readonly string[];
}

/** One command of a scenario with its expected output. */
export interface Directive {
  /** The line of the command in its file, counted from 1. */
  readonly line: number;
  readonly command: string;
  readonly args: readonly Argument[];
  /** The text between the command and `----`, trimmed. */
  readonly input: string;
  /** Every line ends with a newline. */
  readonly expected: string;
}

/** The scenario itself is malformed: a line does not parse, or an argument is not a number. */
export class ScenarioError extends Error {
  override readonly name = 'ScenarioError';
}

const separator = '----';

/**
 * Parses a scenario:
 *
 *     # comment
 *     command key key=value key=(a,b)
 *     input, any lines
 *     ----
 *     expected output up to a blank line, or between doubled separators if it contains blank lines
 *
 * A command may be continued on the next line with `\` at the end of the line.
 */
export function parseScenario(text: string): readonly Directive[] {
  const lines = new Lines(text);
  const directives: Directive[] = [];
  for (let line = lines.next(); line !== undefined; line = lines.next()) {
    if (line.trim() === '' || line.trim().startsWith('#')) continue;
    const at = lines.line;
    const [command, ...args] = parseCommand(continued(line, lines));
    if (command === undefined || command.values.length > 0) {
      throw new ScenarioError(`line ${at}: no command in ${JSON.stringify(line)}`);
    }
    // Marks a part of a long file; has no effect.
    if (command.key === 'subtest') continue;
    const { input, separated } = readInput(lines);
    directives.push({ line: at, command: command.key, args, input, expected: separated ? readExpected(lines) : '' });
  }
  return directives;
}

class Lines {
  /** The number of the line that `next` returned last, counted from 1. */
  line = 0;
  private readonly lines: readonly string[];

  constructor(text: string) {
    const lines = text.split('\n').map((line) => line.replace(/\r$/, ''));
    this.lines = lines.at(-1) === '' ? lines.slice(0, -1) : lines;
  }

  next(): string | undefined {
    const line = this.lines[this.line];
    if (line !== undefined) this.line += 1;
    return line;
  }

  peek(): string | undefined {
    return this.lines[this.line];
  }
}

function continued(first: string, lines: Lines): string {
  let whole = first.trim();
  while (whole.endsWith('\\')) whole = `${whole.slice(0, -1).trim()} ${(lines.next() ?? '').trim()}`;
  return whole;
}

function readInput(lines: Lines): { input: string; separated: boolean } {
  const input: string[] = [];
  for (let line = lines.next(); line !== undefined; line = lines.next()) {
    if (line.trim() === separator) return { input: input.join('\n').trim(), separated: true };
    input.push(line);
  }
  return { input: input.join('\n').trim(), separated: false };
}

function readExpected(lines: Lines): string {
  if (lines.peek() === separator) {
    lines.next();
    return readDoubled(lines);
  }
  let expected = '';
  for (let line = lines.next(); line !== undefined && line.trim() !== ''; line = lines.next()) expected += `${line}\n`;
  return expected;
}

function readDoubled(lines: Lines): string {
  let expected = '';
  for (let line = lines.next(); line !== undefined; line = lines.next()) {
    if (line === separator && lines.peek() === separator) {
      lines.next();
      return expected;
    }
    expected += `${line}\n`;
  }
  throw new ScenarioError(`line ${lines.line}: expected a doubled ${separator} after the output`);
}

const argumentPattern = /\s*([^\s=()]+)(?:=(?:\(([^()]*)\)|([^\s()]*)))?(?=\s|$)/y;

function parseCommand(line: string): Argument[] {
  const found: Argument[] = [];
  let at = 0;
  while (at < line.length) {
    argumentPattern.lastIndex = at;
    const match = argumentPattern.exec(line);
    if (match === null) throw new ScenarioError(`cannot parse ${JSON.stringify(line.slice(at).trim())}`);
    const [, key = '', list, single] = match;
    if (list !== undefined) found.push({ key, values: splitList(list) });
    else found.push({ key, values: single === undefined ? [] : [single] });
    at = argumentPattern.lastIndex;
  }
  return found;
}

function splitList(list: string): readonly string[] {
  return list.trim() === '' ? [] : list.split(',').map((value) => value.trim());
}

/** Parses a safe integer of at least 0. */
export function parseNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new ScenarioError(`${JSON.stringify(text)} is invalid: expected a whole number from 0 to 2^53 - 1`);
  }
  return value;
}

const booleans: Readonly<Record<string, boolean>> = {
  1: true,
  t: true,
  T: true,
  true: true,
  TRUE: true,
  True: true,
  0: false,
  f: false,
  F: false,
  false: false,
  FALSE: false,
  False: false,
};

export function parseBoolean(text: string): boolean {
  const value = booleans[text];
  if (value === undefined) throw new ScenarioError(`${JSON.stringify(text)} is invalid: expected true or false`);
  return value;
}

/** Returns the single value of the argument `key`. */
export function valueOf(directive: Directive, key: string): string {
  const values = directive.args.find((argument) => argument.key === key)?.values;
  const value = values?.[0];
  if (value === undefined || values?.length !== 1) throw new ScenarioError(`expected one value for ${key}`);
  return value;
}

/** Returns the arguments without `=` as numbers. */
export function plainNumbers(directive: Directive): number[] {
  return directive.args.filter((each) => each.values.length === 0).map((each) => parseNumber(each.key));
}
