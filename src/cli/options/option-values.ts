import { InvalidArgumentError } from 'commander';
import type { ReadFrom } from '../../client/index.js';
import * as quantities from '../../infrastructure/quantities.js';

/** The longest delay of a Node timer; with a longer one it would fire at once. */
const timerMsMax = 2 ** 31 - 1;
const timePattern = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$/;
const fromExpected =
  'expected earliest, latest, an offset (42), the last N (-100), a time (2026-01-31T09:30Z) or an age (10m)';

function wholeNumber(digits: string): number {
  const value = Number(digits);
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError(`expected at most ${Number.MAX_SAFE_INTEGER}.`);
  return value;
}

/**
 * Parses `--from`. A time without a zone is local time, a date without a time is its midnight.
 *
 * @param nowMs the time from which an age counts back
 */
export function parseFrom(text: string, nowMs: number): ReadFrom {
  if (text === 'earliest' || text === 'latest') return { position: text };
  if (/^\d+$/.test(text)) return { offset: wholeNumber(text) };
  if (/^-\d+$/.test(text)) return { last: wholeNumber(text.slice(1)) };
  const ageMs = quantities.parseDurationMs(text);
  if (ageMs !== undefined) return { sinceMs: Math.max(0, Math.floor(nowMs - ageMs)) };
  if (timePattern.test(text)) {
    const sinceMs = Date.parse(text.includes('T') ? text : `${text}T00:00`);
    if (!Number.isNaN(sinceMs)) return { sinceMs: Math.max(0, sinceMs) };
  }
  throw new InvalidArgumentError(`${fromExpected}.`);
}

/** Parses HOST:PORT; the port defaults to 8400. */
export function parseAddress(text: string): string {
  const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(text);
  const port = Number(match?.[2] ?? 8400);
  if (match === null || port < 1 || port > 65_535) throw new InvalidArgumentError('expected HOST:PORT.');
  return `${match[1]}:${port}`;
}

/** Returns a parser of whole numbers in [min, max]. */
export function parseCount(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = quantities.parseWholeNumber(text);
    if (value === undefined || value < min || value > max) {
      const upTo = max === Number.MAX_SAFE_INTEGER ? '' : ` and at most ${max}`;
      throw new InvalidArgumentError(`expected a whole number, at least ${min}${upTo}.`);
    }
    return value;
  };
}

/** Returns a parser of sizes in [1, max] bytes, such as 4096, 64KiB or 1MB. */
export function parseBytes(max: number): (text: string) => number {
  return (text) => {
    const value = quantities.parseBytes(text);
    if (value === undefined) throw new InvalidArgumentError(`${quantities.expectedSize}.`);
    if (value < 1 || value > max) throw new InvalidArgumentError(`expected at least 1B and at most ${max}B.`);
    return value;
  };
}

/** Parses a duration that a timer can wait for, such as 500ms, 30s or 10m, to milliseconds. */
export function parseDurationMs(text: string): number {
  const value = quantities.parseDurationMs(text);
  if (value === undefined) throw new InvalidArgumentError(`${quantities.expectedDuration}.`);
  if (value > timerMsMax) throw new InvalidArgumentError('expected at most 24d.');
  return value;
}
