import { type LevelWithSilent, pino } from 'pino';
import type { Logger } from '../application/ports/logger.js';

const fieldCharsMax = 1_000;

function truncated(value: unknown): unknown {
  if (typeof value !== 'string' || value.length <= fieldCharsMax) return value;
  return `${value.slice(0, fieldCharsMax)}… (${value.length} characters)`;
}

function inWords(value: unknown): string {
  return typeof value === 'string' && /^[\w.:/@-]+$/.test(value) ? value : JSON.stringify(value);
}

/** For a person at a terminal: time, level where it matters, message, then the fields. JSON quoting escapes the rest. */
function forTerminal(line: string): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as { level: string; time: string; msg: string };
  const label = level === 'info' ? '' : `${level.toUpperCase()} `;
  const words = Object.entries(fields).map(([name, value]) => `  ${name}=${inWords(value)}`);
  return `${time.slice(11, 23)} ${label}${msg}${words.join('')}\n`;
}

/** One escaped JSON line an event on stderr; on a terminal the same in words. Long strings are cut. */
export function createLogger(level: LevelWithSilent): Logger {
  const standardError = pino.destination({ fd: 2, sync: true });
  const stream = process.stderr.isTTY
    ? { write: (line: string) => void standardError.write(forTerminal(line)) }
    : standardError;
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { error: pino.stdSerializers.err, cause: pino.stdSerializers.err },
      formatters: {
        level: (label) => ({ level: label }),
        log: (fields) => Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, truncated(value)])),
      },
    },
    stream,
  );
}
