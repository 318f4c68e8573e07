import { InvalidArgumentError } from 'commander';
import type { ReadFrom } from '../../client/index.js';
import * as quantities from '../../infrastructure/quantities.js';

/** The longest delay of a Node timer; with a longer one it would fire at once. */
const timerMsMax = 2 ** 31 - 1;
const timePattern = /^(\d{4}-\d{2}-\d{2})(?:(T\d{2}:\d{2})(:\d{2}(?:\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$/;
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
  const time = timePattern.exec(text);
  if (time !== null) return { sinceMs: Math.max(0, timeMs(time)) };
  throw new InvalidArgumentError(`${fromExpected}.`);
}

/**
 * Returns the time that `timePattern` found.
 *
 * @throws InvalidArgumentError when the calendar, the day or the local time zone has no such time; `Date.parse` would
 * take the 30th of February for the 2nd of March, and an hour that a change to summer time skips for the next one
 */
function timeMs([, date, hourAndMinute = 'T00:00', seconds = '', zone = '']: RegExpExecArray): number {
  const ms = Date.parse(`${date}${hourAndMinute}${seconds}${zone}`);
  const asUtcMs = Date.parse(`${date}${hourAndMinute}${seconds}Z`);
  const exists =
    !Number.isNaN(ms) &&
    new Date(asUtcMs).toISOString().startsWith(`${date}${hourAndMinute}`) &&
    (zone !== '' || new Date(ms).getMinutes() + 60 * new Date(ms).getHours() === minuteOfDay(asUtcMs));
  if (!exists) throw new InvalidArgumentError(`there is no such time; expected one such as 2026-01-31T09:30Z.`);
  return ms;
}

const minuteOfDay = (utcMs: number): number => new Date(utcMs).getUTCMinutes() + 60 * new Date(utcMs).getUTCHours();

/** Parses HOST:PORT; the port defaults to 8400. */
export function parseAddress(text: string): string {
  const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(text);
  const port = Number(match?.[2] ?? 8400);
  if (match === null || port < 1 || port > 65_535)
    throw new InvalidArgumentError('expected HOST:PORT, with a port from 1 to 65535.');
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
