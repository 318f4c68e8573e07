import { describe, expect, it } from '@jest/globals';
import { ReceivedBatch } from '../../client/index.js';
import { type RecordReaderOptions, recordReader } from './input-format.js';
import { formatJsonRecord, parseJsonRecord } from './json-record.js';
import { printChunk } from './output-format.js';

function read(options: Partial<RecordReaderOptions>, ...chunks: readonly string[]): string[] {
  const reader = recordReader({ format: 'text', recordBytesMax: 1_000, chunkBytes: 4, ...options });
  const values: string[] = [];
  const take = ({ value }: { value: Uint8Array }): void => {
    values.push(Buffer.from(value).toString());
  };
  for (const chunk of chunks) reader.push(Buffer.from(chunk), take);
  reader.end(take);
  return values;
}

describe('recordReader', () => {
  it('turns each line into a record', () => {
    expect(read({}, 'a\n\nb', 'c\n')).toEqual(['a', '', 'bc']);
  });

  it('notices a last line without a newline', () => {
    const reader = recordReader({ format: 'text', recordBytesMax: 10, chunkBytes: 4 });
    reader.push(Buffer.from('a\nb'), () => undefined);
    reader.end(() => undefined);
    expect(reader.lastLineUnterminated).toBe(true);
  });

  it('splits raw bytes into chunks of one size, however they arrive', () => {
    expect(read({ format: 'raw' }, '12', '3456789', '', 'abc', 'd')).toEqual(['1234', '5678', '9abc', 'd']);
    expect(read({ format: 'raw' }, '12345678')).toEqual(['1234', '5678']);
    expect(read({ format: 'raw' })).toEqual([]);
  });
});

describe('NDJSON', () => {
  const parse = (line: string) => parseJsonRecord(Buffer.from(line), 7);

  it('reads value, key and headers', () => {
    expect(parse('{"value":"ä","key":"k","headers":{"h":"x"}}')).toEqual({
      value: Buffer.from('ä'),
      key: Buffer.from('k'),
      headers: new Map([['h', Buffer.from('x')]]),
    });
    expect(parse('{"value":"/w==","encoding":"base64"}').value).toEqual(Buffer.from([0xff]));
  });

  it.each([
    ['', /line 7: is not JSON/],
    ['{"value":', /line 7: is not JSON/],
    ['[]', /must be a JSON object/],
    ['{}', /has no "value"/],
    ['{"value":1}', /"value" must be a string/],
    ['{"value":"a","encoding":"hex"}', /"encoding" must be "base64"/],
    ['{"value":"a","headers":{"h":1}}', /"headers\.h" must be a string/],
    ['{"value":"a","headers":"h"}', /"headers" must be an object/],
    ['{"valeu":"a"}', /unknown field "valeu"/],
    ['{"value":"a b=","encoding":"base64"}', /"value" is not base64/],
    ['{"value":"/x==","encoding":"base64"}', /"value" is not base64/],
  ])('refuses %s', (line, message) => {
    expect(() => parse(line)).toThrow(message);
  });

  it.each([
    String.raw`{"value":"\ud83d"}`,
    String.raw`{"value":"\ude00\ud83d"}`,
    String.raw`{"value":"a","key":"\udfff"}`,
    String.raw`{"value":"a","headers":{"h":"x\ud800y"}}`,
    String.raw`{"value":"a","headers":{"\ud800":"x"}}`,
  ])('refuses half a surrogate pair, naming the line: %s', (line) => {
    expect(() => parse(line)).toThrow(/line 7: .*half a surrogate pair/);
  });

  it('takes a whole surrogate pair, escaped or not', () => {
    expect(parse(String.raw`{"value":"\ud83d\ude00"}`).value).toEqual(Buffer.from('😀'));
    expect(parse('{"value":"😀"}').value).toEqual(Buffer.from('😀'));
  });

  it.each([
    '{"value":"a","value":"b"}',
    '{"value":"a" , "value" :"a"}',
    String.raw`{"value":"a","v\u0061lue":"b"}`,
    '{"value":"a","headers":{},"headers":{"h":"x"}}',
    '{"value":"a","headers":{"h":"x","h":"y"}}',
    '{"offset":1,"value":"a","offset":2}',
    '{"value":"a","term":{"x":[{"y":1,"y":2}]}}',
  ])('refuses a name that an object has twice, naming the line: %s', (line) => {
    expect(() => parse(line)).toThrow(/line 7: has the name ".*" twice in one object/);
  });

  it('takes equal names in different objects, and names that only occur within text', () => {
    const line = String.raw`{"value":"\"value\":1,\\","key":"value","headers":{"value":"value","key":"{\"h\":"}}`;
    expect(parse(line)).toEqual({
      value: Buffer.from(String.raw`"value":1,\ `.trimEnd()),
      key: Buffer.from('value'),
      headers: new Map([
        ['value', Buffer.from('value')],
        ['key', Buffer.from('{"h":')],
      ]),
    });
  });

  it('passes over blank lines and a byte order mark, and counts them as lines and as input', () => {
    const reader = recordReader({ format: 'ndjson', recordBytesMax: 1_000, chunkBytes: 4 });
    const found: unknown[] = [];
    const take = ({ value }: { value: Uint8Array }, inputBytes: number): void => {
      found.push([Buffer.from(value).toString(), inputBytes, reader.units]);
    };
    reader.push(Buffer.from('\ufeff{"value":"a"}\n\n \t\r\n{"value":"b"}\r\n'), take);
    reader.push(Buffer.from('\n{"value":"c"}\n  '), take);
    reader.end(take);
    expect(found).toEqual([
      ['a', 17, 1],
      ['b', 20, 4],
      ['c', 15, 6],
    ]);
    expect(reader.lastLineUnterminated).toBe(false);
  });

  it('passes over a byte order mark on a line of its own, and refuses one later on', () => {
    expect(read({ format: 'ndjson' }, '\ufeff\n{"value":"a"}\n')).toEqual(['a']);
    expect(() => read({ format: 'ndjson' }, '{"value":"a"}\n\ufeff{"value":"b"}\n')).toThrow(/line 2: is not JSON/);
  });

  it('keeps a byte order mark and blank lines of text', () => {
    expect(read({}, '\ufeffa\n\n \n')).toEqual(['\ufeffa', '', ' ']);
  });

  it('reads back what it prints, including bytes that are not UTF-8', () => {
    for (const value of [Buffer.from('text\n"'), Buffer.from([0xff, 0]), Buffer.alloc(0)]) {
      const headers = new Map([['h', Buffer.from('v')]]);
      const line = formatJsonRecord({ offset: 3, value, key: Buffer.from('k'), headers }, 1, 0);
      expect(JSON.parse(line)).toMatchObject({ offset: 3, term: 1, appendTime: '1970-01-01T00:00:00.000Z' });
      expect(parse(line)).toEqual({ value, key: Buffer.from('k'), headers });
    }
  });
});

describe('printChunk', () => {
  const encoded = ['one', '', 'three'].map((value) =>
    value === '' ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, value.length]), Buffer.from(value)]),
  );
  const chunk = { batches: [new ReceivedBatch(5, 1, 0, encoded)], logStartOffset: 0, highWatermark: 8 };

  const text = { format: 'text', onTerminal: false } as const;

  it.each(['text', 'ndjson', 'raw'] as const)(
    'lets no record control a terminal, as %s, and leaves pipes alone',
    (format) => {
      const value = Buffer.concat([
        Buffer.from('a\u001b[2J\tb\u009b1m\u007f\u202e\u2066c\rd\r\ne\r'),
        Buffer.from([0x9b]),
      ]);
      const hostile = Buffer.concat([Buffer.from([0x0a, value.length]), value]);
      const one = { ...chunk, batches: [new ReceivedBatch(0, 1, 0, [hostile])] };
      const shown = printChunk(one, { format, onTerminal: true }, 1).bytes.toString();
      expect(shown.replaceAll(/\r?\n|\t/g, '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      const piped = printChunk(one, { format, onTerminal: false }, 1).bytes;
      if (format === 'ndjson') expect(JSON.parse(shown)).toEqual(JSON.parse(piped.toString()));
      else {
        expect(piped.includes(value)).toBe(true);
        expect(shown).toContain('a\\u{1b}[2J\tb\\u{9b}1m\\u{7f}\\u{202e}\\u{2066}c\\u{d}d\r\ne');
      }
    },
  );

  it('ends each text with a newline and puts nothing between raw bytes', () => {
    expect(printChunk(chunk, text, 10)).toEqual({
      bytes: Buffer.from('one\n\nthree\n'),
      recordCount: 3,
      endOffset: 8,
    });
    expect(printChunk(chunk, { format: 'raw', onTerminal: false }, 10).bytes).toEqual(Buffer.from('onethree'));
  });

  it('stops at the limit and returns the next offset', () => {
    expect(printChunk(chunk, text, 2)).toEqual({ bytes: Buffer.from('one\n\n'), recordCount: 2, endOffset: 7 });
    expect(printChunk(chunk, text, 0).endOffset).toBeUndefined();
  });
});
