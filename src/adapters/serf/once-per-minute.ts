import type { Logger } from '../../application/ports/logger.js';

const minuteMs = 60_000;

/** Logs warnings about messages from others: each kind at most once a minute, so that nobody can flood the log. */
export class OncePerMinute {
  readonly #loggedAt = new Map<string, number>();

  constructor(
    private readonly now: () => number,
    private readonly logger: Logger,
  ) {}

  /** Logs a warning; `message` identifies its kind. */
  tell(fields: object, message: string): void {
    const loggedAt = this.#loggedAt.get(message) ?? -Infinity;
    if (this.now() - loggedAt < minuteMs) return;
    this.#loggedAt.set(message, this.now());
    this.logger.warn(fields, message);
  }
}
