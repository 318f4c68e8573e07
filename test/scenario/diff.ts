type Edit = readonly [mark: ' ' | '-' | '+', line: string];

/** The number of unchanged lines shown around a difference. */
const contextLines = 3;

/** Returns the differing lines with context: `-` marks expected lines, `+` actual ones. */
export function diffLines(expected: string, actual: string): string {
  const edits = editScript(splitLines(expected), splitLines(actual));
  const shown = edits.map((_, at) =>
    edits.slice(Math.max(0, at - contextLines), at + contextLines + 1).some(([mark]) => mark !== ' '),
  );
  const out: string[] = [];
  for (const [at, [mark, line]] of edits.entries()) {
    if (shown[at] === true) out.push(`${mark} ${line}`);
    else if (shown[at - 1] !== false) out.push('  ...');
  }
  return out.join('\n');
}

function splitLines(text: string): readonly string[] {
  return text === '' ? [] : text.replace(/\n$/, '').split('\n');
}

/** Returns a shortest edit script, by the longest common subsequence. */
function editScript(before: readonly string[], after: readonly string[]): readonly Edit[] {
  const width = after.length + 1;
  const common = new Uint32Array((before.length + 1) * width);
  const commonAt = (row: number, column: number): number => common[row * width + column] ?? 0;
  for (let row = before.length - 1; row >= 0; row -= 1) {
    for (let column = after.length - 1; column >= 0; column -= 1) {
      common[row * width + column] =
        before[row] === after[column]
          ? commonAt(row + 1, column + 1) + 1
          : Math.max(commonAt(row + 1, column), commonAt(row, column + 1));
    }
  }
  const edits: Edit[] = [];
  let row = 0;
  let column = 0;
  while (row < before.length || column < after.length) {
    const old = before[row];
    const now = after[column];
    if (old !== undefined && old === now) {
      edits.push([' ', old]);
      row += 1;
      column += 1;
    } else if (now === undefined || (old !== undefined && commonAt(row + 1, column) >= commonAt(row, column + 1))) {
      edits.push(['-', old ?? '']);
      row += 1;
    } else {
      edits.push(['+', now]);
      column += 1;
    }
  }
  return edits;
}
