import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { LineSplitter, LineTooLongError } from './line-splitter.js';

function split(chunks: readonly Buffer[], lineBytesMax = 1_000): { lines: Buffer[]; inputBytes: number } {
  const splitter = new LineSplitter(lineBytesMax);
  const lines: Buffer[] = [];
  let inputBytes = 0;
  const take = (line: Buffer, bytes: number): void => {
    lines.push(Buffer.from(line));
    inputBytes += bytes;
  };
  for (const chunk of chunks) splitter.push(chunk, take);
  splitter.end(take);
  return { lines, inputBytes };
}

describe('LineSplitter', () => {
  it.each([
    ['', []],
    ['\n', ['']],
    ['a\n', ['a']],
    ['a', ['a']],
    ['a\n\n\nb', ['a', '', '', 'b']],
    ['a\r\nb\r\n', ['a\r', 'b\r']],
    ['zwölf\n🦫\n', ['zwölf', '🦫']],
  ])('splits %j', (text, lines) => {
    expect(split([Buffer.from(text)]).lines.map(String)).toEqual(lines);
  });

  it('preserves all bytes, however they arrive', () => {
    const bytes = fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.from(array.map((byte) => byte % 13)));
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 8 }), (chunks) => {
        const whole = Buffer.concat(chunks);
        const { lines, inputBytes } = split(chunks);
        const ended = whole.length === 0 || whole.at(-1) === 0x0a ? whole : Buffer.concat([whole, Buffer.from('\n')]);
        expect(Buffer.concat(lines.flatMap((line) => [line, Buffer.from('\n')]))).toEqual(ended);
        expect(inputBytes).toBe(whole.length);
      }),
    );
  });

  it('reports a line that is too long, with its length, after the lines before it', () => {
    const lines: string[] = [];
    const splitter = new LineSplitter(4);
    const push = (text: string): void =>
      splitter.push(Buffer.from(text), (line) => {
        lines.push(line.toString());
      });
    push('1234\nab');
    push('cde');
    expect(() => push('f\nafter\n')).toThrow(new LineTooLongError(2, 6, 4));
    expect(lines).toEqual(['1234']);
  });

  it('accepts a line of exactly the limit', () => {
    expect(split([Buffer.from('12'), Buffer.from('34\n')], 4).lines.map(String)).toEqual(['1234']);
  });
});
