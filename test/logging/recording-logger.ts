import type { LogEvent, LogLevel } from '../../src/application/ports/log-events.js';
import type { Logger } from '../../src/application/ports/logger.js';

export interface LogLine {
  readonly level: LogLevel;
  readonly event: LogEvent;
  readonly fields: object;
  readonly message: string;
}

/** Keeps what is logged. Tests match events and fields; messages may change at any time. */
export class RecordingLogger implements Logger {
  readonly lines: LogLine[] = [];
  #waiting: { level: LogLevel; resolve: (event: LogEvent) => void }[] = [];

  debug = this.#at('debug');
  info = this.#at('info');
  warn = this.#at('warn');
  error = this.#at('error');

  /** The events of that level, in order. */
  events(level: LogLevel): LogEvent[] {
    return this.lines.filter((line) => line.level === level).map(({ event }) => event);
  }

  /** The fields of the lines with that event, in order. */
  fieldsOf(event: LogEvent): object[] {
    return this.lines.filter((line) => line.event === event).map(({ fields }) => fields);
  }

  /** The fields of lines that have an `audit`. */
  audit(): object[] {
    return this.lines.filter(({ fields }) => 'audit' in fields).map(({ fields }) => fields);
  }

  /** The next event of that level. */
  next(level: LogLevel): Promise<LogEvent> {
    return new Promise((resolve) => this.#waiting.push({ level, resolve }));
  }

  #at(level: LogLevel): (event: LogEvent, fields: object, message: string) => void {
    return (event, fields, message) => {
      this.lines.push({ level, event, fields, message });
      const heard = this.#waiting.filter((each) => each.level === level);
      this.#waiting = this.#waiting.filter((each) => each.level !== level);
      for (const { resolve } of heard) resolve(event);
    };
  }
}
