import type { LogEvent } from './log-events.js';

/**
 * Structured logging. `event` names what happened, for alerts and tests (see `log-events.ts`). Values go into `fields`,
 * never into `message`, which is for people.
 */
export interface Logger {
  debug(event: LogEvent<'debug'>, fields: object, message: string): void;
  info(event: LogEvent<'info'>, fields: object, message: string): void;
  warn(event: LogEvent<'warn'>, fields: object, message: string): void;
  error(event: LogEvent<'error'>, fields: object, message: string): void;
}

export const Logger = Symbol('Logger');
