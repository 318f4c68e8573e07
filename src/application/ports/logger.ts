/** Structured logging, in the shape of pino. Values from outside go into `fields`, never into `message`. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export const Logger = Symbol('Logger');
