import { expect, it } from '@jest/globals';
import { FoldedLines } from './folded-lines.js';

it('A14: lines of one kind are logged at once, then counted, and kinds above a limit count as one', () => {
  let due: (() => void)[] = [];
  const lines = new FoldedLines((_, callback) => due.push(callback));
  const logged: string[] = [];
  const add = (kind: string): void =>
    lines.add(
      kind,
      (more) => logged.push(`${kind} ${more ?? ''}`.trim()),
      (more) => logged.push(`rest ${more}`),
    );
  const pass = (): void => {
    const now = due;
    due = [];
    for (const callback of now) callback();
  };
  for (let i = 0; i < 3_280; i++) add('a');
  add('b');
  expect(logged.splice(0)).toEqual(['a', 'b']);
  pass();
  expect(logged.splice(0)).toEqual(['a 3279']);
  for (let i = 0; i < 5_000; i++) add(`kind ${i}`);
  expect(logged.splice(0)).toHaveLength(200);
  pass();
  expect(logged.splice(0)).toEqual(['rest 4800']);
  add('a');
  expect(logged).toEqual(['a']);
});
