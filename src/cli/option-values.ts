import { InvalidArgumentError } from 'commander';
import type { ReadFrom } from '../client/index.js';

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const unitBytes: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};
const timePattern = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$/;
const fromExpected =
  'expected earliest, latest, an offset (42), the last N (-100), a time (2026-01-31T09:30Z) or an age (10m)';

function wholeNumber(digits: string): number {
  const value = Number(digits);
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError(`${digits} is beyond ${Number.MAX_SAFE_INTEGER}.`);
  return value;
}

/**
 * Reads `--from`. A time without a zone is local time, a date without a time its midnight.
 *
 * @param nowMs what an age counts back from
 */
export function parseFrom(text: string, nowMs: number): ReadFrom {
  if (text === 'earliest' || text === 'latest') return { position: text };
  if (/^\d+$/.test(text)) return { offset: wholeNumber(text) };
  if (/^-\d+$/.test(text)) return { last: wholeNumber(text.slice(1)) };
  const age = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  if (age !== null) return { sinceMs: Math.max(0, Math.floor(nowMs - Number(age[1]) * unitMs[age[2]])) };
  if (timePattern.test(text)) {
    const sinceMs = Date.parse(text.includes('T') ? text : `${text}T00:00`);
    if (!Number.isNaN(sinceMs)) return { sinceMs: Math.max(0, sinceMs) };
  }
  throw new InvalidArgumentError(`${fromExpected}.`);
}

/** HOST:PORT, with a bare host at port 8400. */
export function parseAddress(text: string): string {
  const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(text);
  const port = Number(match?.[2] ?? 8400);
  if (match === null || port < 1 || port > 65_535) throw new InvalidArgumentError('expected HOST:PORT.');
  return `${match[1]}:${port}`;
}

/** A whole number in [min, max]. */
export function parseCount(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    if (!(value >= min && value <= max)) {
      const upTo = max === Number.MAX_SAFE_INTEGER ? '' : ` and at most ${max}`;
      throw new InvalidArgumentError(`expected a whole number, at least ${min}${upTo}.`);
    }
    return value;
  };
}

/** Bytes in [1, max], such as 65536, 64KiB or 1MB. */
export function parseBytes(max: number): (text: string) => number {
  return (text) => {
    const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text);
    const value = Math.floor(Number(match?.[1]) * (unitBytes[match?.[2]?.toLowerCase() ?? ''] ?? NaN));
    if (!(value >= 1 && value <= max)) {
      throw new InvalidArgumentError(`expected a size such as 65536 or 64KiB, at least 1 and at most ${max} bytes.`);
    }
    return value;
  };
}

/** A time span in milliseconds, such as 500ms, 30s or 10m. */
export function parseDurationMs(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  if (match === null) throw new InvalidArgumentError('expected a time span such as 500ms, 30s or 10m.');
  return Math.floor(Number(match[1]) * unitMs[match[2]]);
}
