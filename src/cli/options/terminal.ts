import Table from 'cli-table3';
import { printable } from './printable.js';

/** Whether the output is a terminal that can be redrawn. */
export function isRedrawable(): boolean {
  return process.stdout.isTTY && process.env['TERM'] !== 'dumb';
}

/** The columns of the terminal; in a pipe, lines may have any length. */
export function columnsOfOutput(): number {
  return process.stdout.isTTY ? process.stdout.columns || 80 : Infinity;
}

export function rowsOfOutput(): number {
  return process.stdout.rows || 24;
}

export interface Column {
  readonly name: string;
  readonly align?: 'right';
}

const plain = Object.fromEntries(
  ['top', 'bottom', 'left', 'right', 'mid'].flatMap((edge) =>
    [edge, `${edge}-mid`, `${edge}-left`, `${edge}-right`].map((name) => [name, '']),
  ),
);
const gap = '  ';

/**
 * Formats a table without borders, for people and for `awk` alike; ends with a newline. A table that is wider than
 * `width` continues below with its other columns, each part with the first column.
 */
export function tableText(
  columns: readonly Column[],
  rows: readonly (readonly (string | number)[])[],
  width: number,
): string {
  const cells = rows.map((row) => row.map((cell) => printable(String(cell))));
  const widths = columns.map(({ name }, i) => Math.max(name.length, ...cells.map((row) => row[i].length)));
  const parts: number[][] = [[0]];
  let used = widths[0];
  for (let i = 1; i < columns.length; i += 1) {
    if (parts.at(-1)!.length > 1 && used + gap.length + widths[i] > width) {
      parts.push([0]);
      used = widths[0];
    }
    parts.at(-1)!.push(i);
    used += gap.length + widths[i];
  }
  return parts.map((part) => partText(columns, cells, part)).join('\n');
}

function partText(columns: readonly Column[], cells: readonly (readonly string[])[], part: readonly number[]): string {
  const table = new Table({
    head: part.map((i) => columns[i].name),
    colAligns: part.map((i) => columns[i].align ?? 'left'),
    chars: { ...plain, middle: gap },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  for (const row of cells) table.push(part.map((i) => row[i]));
  return table
    .toString()
    .split('\n')
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}

/** Breaks a line at spaces so that its parts fit, the later ones indented; a word that is too long is not broken. */
export function wrapped(line: string, width: number): string[] {
  const [indent = ''] = /^ */.exec(line) ?? [];
  const lines: string[] = [];
  let current = indent;
  for (const word of line.slice(indent.length).split(' ')) {
    const isFirst = current.trim() === '';
    const longer = isFirst ? `${current}${word}` : `${current} ${word}`;
    if (isFirst || longer.length <= width) current = longer;
    else {
      lines.push(current);
      current = `${indent}  ${word}`;
    }
  }
  return [...lines, current];
}

/** The first lines of a text that fit on a screen of so many rows, the last of which is left for the cursor. */
export function cutTo(rows: number, text: string): string {
  const lines = text.trimEnd().split('\n');
  return `${lines.slice(0, Math.max(1, rows - 1)).join('\n')}\n`;
}
