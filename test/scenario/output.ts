import type { RaftLogger } from '../../src/domain/raft/raft-logger.js';

const levels = ['DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL', 'NONE'] as const;

type Level = (typeof levels)[number];

/** The output of a command: its own lines and the nodes' log lines, in order. */
export class Output implements RaftLogger {
  #level: Level = 'DEBUG';
  #text = '';

  get level(): Level {
    return this.#level;
  }

  set level(level: Level) {
    this.#level = level;
  }

  /** True if nothing is printed, not even by commands. */
  get isQuiet(): boolean {
    return this.#level === 'NONE';
  }

  write(text: string): void {
    if (!this.isQuiet) this.#text += text;
  }

  /** Returns the text written since the last call. */
  take(): string {
    const text = this.#text;
    this.#text = '';
    return text;
  }

  /** Runs `work` and indents its output by two spaces, with a final newline. */
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

/** Returns the level with this name, ignoring case; undefined for an unknown name. */
export function parseLevel(name: string): Level | undefined {
  return levels.find((level) => level === name.toUpperCase());
}

export const levelNames = levels.join(' ');
