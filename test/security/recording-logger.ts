import type { Logger } from '../../src/application/ports/logger.js';

type Level = 'debug' | 'info' | 'warn' | 'error';

/** Keeps what is logged. */
export class RecordingLogger implements Logger {
  readonly lines: { level: Level; fields: object; message: string }[] = [];
  #waiting: { level: Level; resolve: (message: string) => void }[] = [];

  debug = this.#at('debug');
  info = this.#at('info');
  warn = this.#at('warn');
  error = this.#at('error');

  messages(level: Level): string[] {
    return this.lines.filter((line) => line.level === level).map(({ message }) => message);
  }

  /** The fields of lines that have an `audit`. */
  audit(): object[] {
    return this.lines.filter(({ fields }) => 'audit' in fields).map(({ fields }) => fields);
  }

  /** The next message of that level. */
  next(level: Level): Promise<string> {
    return new Promise((resolve) => this.#waiting.push({ level, resolve }));
  }

  #at(level: Level): (fields: object, message: string) => void {
    return (fields, message) => {
      this.lines.push({ level, fields, message });
      const heard = this.#waiting.filter((each) => each.level === level);
      this.#waiting = this.#waiting.filter((each) => each.level !== level);
      for (const { resolve } of heard) resolve(message);
    };
  }
}
