import { isatty } from 'node:tty';
import { type LevelWithSilent, pino } from 'pino';
import type { LogEvent, LogLevel } from '../application/ports/log-events.js';
import type { Logger } from '../application/ports/logger.js';
import { LogOutput, standardErrorWriter } from './log-output.js';

const fieldCharsMax = 1_000;
const stackCharsMax = 4_000;
/** The approximate limit for all fields of a line together; JSON escaping may turn one character into six. */
const lineCharsMax = 8_000;
const depthMax = 4;

/** Bounds the fields of a log line, whatever a caller has sent: serializes errors, and cuts long texts and lists. */
class BoundedFields {
  #charsLeft = lineCharsMax;

  of(fields: object, depth = 0): Record<string, unknown> {
    const stored: [name: string, value: unknown][] = [];
    for (const [name, value] of Object.entries(fields)) {
      if (this.#charsLeft <= 0) break;
      stored.push([this.#cut(name, fieldCharsMax), this.#bounded(value, depth)]);
    }
    return Object.fromEntries(stored);
  }

  #bounded(value: unknown, depth: number): unknown {
    this.#charsLeft -= 1;
    if (typeof value === 'string') return this.#cut(value, fieldCharsMax);
    if (typeof value !== 'object' || value === null || 'toJSON' in value) return value;
    if (value instanceof Uint8Array) return `${value.length} bytes`;
    if (depth > depthMax) return '…';
    if (value instanceof Error) {
      const { stack, ...fields } = pino.stdSerializers.err(value);
      return { ...this.of(fields, depth + 1), stack: this.#cut(stack, stackCharsMax) };
    }
    return Array.isArray(value) ? this.#list(value, depth + 1) : this.of(value, depth + 1);
  }

  #list(values: readonly unknown[], depth: number): unknown[] {
    const stored: unknown[] = [];
    for (const value of values) {
      if (this.#charsLeft <= 0) break;
      stored.push(this.#bounded(value, depth));
    }
    return stored;
  }

  #cut(text: string, charsMax: number): string {
    const limit = Math.min(charsMax, Math.max(0, this.#charsLeft));
    this.#charsLeft -= Math.min(text.length, limit);
    return text.length <= limit ? text : `${text.slice(0, limit)}… (${text.length} characters)`;
  }
}

function describe(value: unknown): string {
  return typeof value === 'string' && /^[\w.:/@-]+$/.test(value) ? value : JSON.stringify(value);
}

/** Formats a line for a terminal: time, level unless info, message, then the fields, quoted and escaped as JSON. */
function forTerminal(line: string): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as { level: string; time: string; msg: string };
  const label = level === 'info' ? '' : `${level.toUpperCase()} `;
  const pairs = Object.entries(fields).map(([name, value]) => `  ${name}=${describe(value)}`);
  return `${time.slice(11, 23)} ${label}${msg}${pairs.join('')}\n`;
}

let standardError: LogOutput | undefined;

/** The output that all loggers of the process share. */
function sharedOutput(onLost: (lines: number) => void): LogOutput {
  if (standardError === undefined) {
    standardError = new LogOutput(standardErrorWriter(), onLost);
    process.on('exit', flushLog);
  }
  return standardError;
}

/** Writes the lines that are held, before the process ends. */
export function flushLog(): void {
  standardError?.flush();
}

/**
 * Creates a logger that writes one JSON line per event to stderr, or text on a terminal, with the name of the node. Long texts are cut. A line that
 * cannot be written is held, then lost and counted; logging neither fails nor waits.
 */
export function createLogger(level: LevelWithSilent, node?: string): Logger {
  const output = sharedOutput((lines) => {
    logger.error('log_lines_lost', { lines }, 'log lines were lost, because they could not be written');
  });
  const isTerminal = isatty(2);
  const stream = {
    write: (line: string) => {
      output.write(isTerminal ? forTerminal(line) : line);
    },
  };
  const lines = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: {
        level: (label) => ({ level: label }),
        log: (fields) => new BoundedFields().of(fields),
      },
    },
    stream,
  );
  const at =
    (of: LogLevel) =>
    (event: LogEvent, fields: object, message: string): void =>
      lines[of]({ event, ...fields, ...(node !== undefined && !('node' in fields) && { node }) }, message);
  const logger: Logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  return logger;
}
