/** The log of the core's actions. The texts are part of its observable behavior: etcd's scenarios compare them. */
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

/** The core's state is inconsistent, or its caller broke a rule: it must not continue. */
export class RaftPanicError extends Error {
  override readonly name = 'RaftPanicError';
}

/** Throws RaftPanicError with this text. */
export function panic(text: string): never {
  throw new RaftPanicError(text);
}

/** Formats an ID for log texts. */
export function hex(id: number): string {
  return id.toString(16);
}
