import { describe, expect, it } from '@jest/globals';
import { InvalidArgumentError } from 'commander';
import { parseAddress, parseBytes, parseCount, parseDurationMs, parseFrom } from './option-values.js';

const nowMs = Date.UTC(2026, 0, 31, 12);

describe('parseFrom', () => {
  it.each([
    ['earliest', { position: 'earliest' }],
    ['latest', { position: 'latest' }],
    ['0', { offset: 0 }],
    ['42', { offset: 42 }],
    ['-7', { last: 7 }],
    ['10m', { sinceMs: nowMs - 600_000 }],
    ['1.5h', { sinceMs: nowMs - 5_400_000 }],
    ['2026-01-31T09:30Z', { sinceMs: Date.UTC(2026, 0, 31, 9, 30) }],
    ['2026-01-31T09:30:15.250+02:00', { sinceMs: Date.UTC(2026, 0, 31, 7, 30, 15, 250) }],
    ['2026-01-31', { sinceMs: new Date(2026, 0, 31).getTime() }],
    ['2026-01-31T09:30', { sinceMs: new Date(2026, 0, 31, 9, 30).getTime() }],
  ])('reads %s', (text, from) => {
    expect(parseFrom(text, nowMs)).toEqual(from);
  });

  it.each(['', 'first', '1.5', '-', '+1', '10x', '2026-13-01', '2026-01-31T25:00Z', '9007199254740992', '1e3'])(
    'refuses %j',
    (text) => {
      expect(() => parseFrom(text, nowMs)).toThrow(InvalidArgumentError);
    },
  );
});

describe('times that do not exist', () => {
  it.each([
    '2026-02-30',
    '2026-02-29',
    '1900-02-29T00:00Z',
    '2026-04-31T12:00Z',
    '2026-06-31T12:00:00.5+02:00',
    '2026-00-10',
    '2026-01-00',
    '2026-01-32',
    '2026-01-31T24:00',
    '2026-01-31T24:00:00Z',
    '2026-01-31T12:60Z',
    '2026-01-31T12:00:60Z',
    '2026-01-31T12:00+25:00',
  ])('refuses %s', (text) => {
    expect(() => parseFrom(text, nowMs)).toThrow(/there is no such time; expected one such as/);
  });

  it('takes the days that there are', () => {
    expect(parseFrom('2024-02-29T23:59:59Z', nowMs)).toEqual({ sinceMs: Date.UTC(2024, 1, 29, 23, 59, 59) });
    expect(parseFrom('2000-02-29T00:00-01:00', nowMs)).toEqual({ sinceMs: Date.UTC(2000, 1, 29, 1) });
    expect(parseFrom('2026-12-31T23:30-0130', nowMs)).toEqual({ sinceMs: Date.UTC(2027, 0, 1, 1) });
  });
});

describe('the other option values', () => {
  it('reads addresses, and adds the default port to a bare host', () => {
    expect(parseAddress('localhost:1')).toBe('localhost:1');
    expect(parseAddress('[::1]:8400')).toBe('[::1]:8400');
    expect(parseAddress('example.org')).toBe('example.org:8400');
    for (const wrong of ['', ':1', 'a:0', 'a:70000', 'a:b', 'http://a:1']) {
      expect(() => parseAddress(wrong)).toThrow(InvalidArgumentError);
    }
  });

  it('reads sizes, counts and times within their bounds', () => {
    expect(parseBytes(1 << 20)('64KiB')).toBe(65_536);
    expect(parseBytes(1 << 20)('1B')).toBe(1);
    expect(parseCount(1, 9)('9')).toBe(9);
    expect(parseDurationMs('1.5s')).toBe(1_500);
    for (const wrong of ['0', '0B', '1.5', '2MiB', '-1', 'x', '1 parsec', '']) {
      expect(() => parseBytes(1 << 20)(wrong)).toThrow(InvalidArgumentError);
    }
    for (const wrong of ['0', '10', '-1', '1.5', '']) expect(() => parseCount(1, 9)(wrong)).toThrow(/at most 9/);
    for (const wrong of ['0', '5', 's', '30S', '25d', ''])
      expect(() => parseDurationMs(wrong)).toThrow(InvalidArgumentError);
  });
});
