import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { LogOutput } from './log-output.js';

/** A place for bytes with so much space, whose writes fail with `code` beyond it. */
class Sink {
  text = '';
  space = Infinity;

  constructor(readonly code: 'ENOSPC' | 'EAGAIN' | 'EPIPE') {}

  writeSome = (bytes: Uint8Array): number => {
    const written = Math.min(this.space, bytes.length);
    if (written === 0) throw Object.assign(new Error(this.code), { code: this.code });
    this.space -= written;
    this.text += Buffer.from(bytes.subarray(0, written)).toString();
    return written;
  };
}

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

describe.each(['ENOSPC', 'EAGAIN', 'EPIPE'] as const)('F12: an output that fails with %s', (code) => {
  it('holds the lines until there is space, whole and in order', () => {
    const sink = new Sink(code);
    const output = new LogOutput(sink.writeSome, () => undefined);
    output.write('first\n');
    sink.space = 3;
    for (const line of ['second\n', 'third\n']) output.write(line);
    expect(sink.text).toBe('first\nsec');
    sink.space = Infinity;
    jest.advanceTimersByTime(1_000);
    output.write('fourth\n');
    expect(sink.text).toBe('first\nsecond\nthird\nfourth\n');
  });

  it('counts the lines that are lost, and says so once there is space', () => {
    const sink = new Sink(code);
    sink.space = 0;
    const output = new LogOutput(sink.writeSome, (lines) => {
      output.write(`lost ${lines}\n`);
    });
    const line = `${'x'.repeat(999)}\n`;
    for (let i = 0; i < 2_000; i++) output.write(line);
    sink.space = Infinity;
    jest.advanceTimersByTime(1_000);
    const stored = sink.text.split(line).length - 1;
    expect(stored).toBe(Math.floor(2 ** 20 / 1_000));
    expect(sink.text.endsWith(`\nlost ${2_000 - stored}\n`)).toBe(true);
  });

  it('is written once more when the process exits', () => {
    const sink = new Sink(code);
    sink.space = 0;
    const output = new LogOutput(sink.writeSome, () => undefined);
    output.write('last\n');
    output.flush();
    expect(sink.text).toBe('');
    sink.space = Infinity;
    output.flush();
    expect(sink.text).toBe('last\n');
  });
});
