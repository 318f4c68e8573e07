/** Where the core says what it does; the texts are part of its observable behaviour. */
export interface RaftLogger {
  debug(message: string): void;
  info(message: string): void;
  warning(message: string): void;
  error(message: string): void;
}

export const silentLogger: RaftLogger = {
  debug: () => {},
  info: () => {},
  warning: () => {},
  error: () => {},
};

/** The core found its own state broken, or its caller broke a rule: it must not go on. */
export class RaftPanicError extends Error {
  override readonly name = 'RaftPanicError';
}

/** Ends the core with this text. */
export function panic(text: string): never {
  throw new RaftPanicError(text);
}

/** How ids are printed. */
export function hex(id: number): string {
  return id.toString(16);
}
