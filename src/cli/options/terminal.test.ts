import { describe, expect, it } from '@jest/globals';
import { cutTo, tableText, wrapped } from './terminal.js';

const columns = [
  { name: 'node' },
  { name: 'lag', align: 'right' },
  { name: 'gRPC address' },
  { name: 'level' },
] as const;
const rows = [
  ['n1', 0, '127.0.0.1:8400', '1'],
  ['n2', 1_200, '127.0.0.1:8410', ''],
];

describe('tableText', () => {
  it('has no borders and no trailing spaces', () => {
    expect(tableText(columns, rows, Infinity)).toBe(
      'node   lag  gRPC address    level\nn1       0  127.0.0.1:8400  1\nn2    1200  127.0.0.1:8410\n',
    );
  });

  it('goes on below with the columns that do not fit, each part with the first column', () => {
    expect(tableText(columns, rows, 20)).toBe(
      'node   lag\nn1       0\nn2    1200\n\nnode  gRPC address\nn1    127.0.0.1:8400\nn2    127.0.0.1:8410\n\nnode  level\nn1    1\nn2\n',
    );
  });

  it('is as wide as it needs to be where even two columns do not fit', () => {
    expect(tableText(columns, rows, 1).split('\n')[0]).toBe('node   lag');
  });

  it('keeps a cell within its line, and from controlling the terminal', () => {
    expect(tableText([{ name: 'a' }], [['x\n\u001b[2Jy']], 80)).toBe('a\nx\\u{a}\\u{1b}[2Jy\n');
  });

  it('can be without rows', () => {
    expect(tableText([{ name: 'a' }, { name: 'b' }], [], 80)).toBe('a  b\n');
  });
});

describe('wrapped', () => {
  it.each([
    ['a b c', 5, ['a b c']],
    ['aa bb cc', 5, ['aa bb', '  cc']],
    ['  aa bb', 6, ['  aa', '    bb']],
    ['aaaaaaaa b', 4, ['aaaaaaaa', '  b']],
    ['a  b', 4, ['a  b']],
    ['', 4, ['']],
    ['a b', Infinity, ['a b']],
  ])('of %j at %d is %j', (line, width, lines) => {
    expect(wrapped(line, width)).toEqual(lines);
  });
});

describe('cutTo', () => {
  it('keeps the first lines, and a row for the cursor', () => {
    expect(cutTo(3, 'a\nb\nc\n')).toBe('a\nb\n');
    expect(cutTo(24, 'a\nb\n')).toBe('a\nb\n');
  });
});
