import type { RaftLogger } from '../../src/domain/raft/raft-logger.js';

const levels = ['DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL', 'NONE'] as const;

type Level = (typeof levels)[number];

/** What a command prints: its own lines and those the nodes log, in the order in which they come. */
export class Output implements RaftLogger {
  #level: Level = 'DEBUG';
  #text = '';

  get level(): Level {
    return this.#level;
  }

  set level(level: Level) {
    this.#level = level;
  }

  /** At this level nothing is printed at all, not by the commands either. */
  get isQuiet(): boolean {
    return this.#level === 'NONE';
  }

  write(text: string): void {
    if (!this.isQuiet) this.#text += text;
  }

  /** What was written since the last time. */
  take(): string {
    const text = this.#text;
    this.#text = '';
    return text;
  }

  /** Runs `work`; what it writes is set in by two spaces, and ends with a newline. */
  indented(work: () => void): void {
    const before = this.take();
    try {
      work();
    } finally {
      const lines = this.take().replace(/\n$/, '');
      this.#text = lines === '' ? before : `${before}${lines.replace(/^/gm, '  ')}\n`;
    }
  }

  debug(message: string): void {
    this.#log('DEBUG', message);
  }

  info(message: string): void {
    this.#log('INFO', message);
  }

  warning(message: string): void {
    this.#log('WARN', message);
  }

  error(message: string): void {
    this.#log('ERROR', message);
  }

  #log(level: Level, message: string): void {
    if (levels.indexOf(level) < levels.indexOf(this.#level)) return;
    this.write(`${level} ${message}${message.endsWith('\n') ? '' : '\n'}`);
  }
}

/** The level of that name in any case; undefined when there is none. */
export function parseLevel(name: string): Level | undefined {
  return levels.find((level) => level === name.toUpperCase());
}

export const levelNames = levels.join(' ');
