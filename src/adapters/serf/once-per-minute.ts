import type { LogEvent } from '../../application/ports/log-events.js';
import type { Logger } from '../../application/ports/logger.js';

const minuteMs = 60_000;

/** Logs warnings about messages from others: each event at most once a minute, so that nobody can flood the log. */
export class OncePerMinute {
  readonly #loggedAt = new Map<string, number>();

  constructor(
    private readonly now: () => number,
    private readonly logger: Logger,
  ) {}

  /** Logs a warning, unless its event was logged less than a minute ago. */
  tell(event: LogEvent<'warn'>, fields: object, message: string): void {
    const loggedAt = this.#loggedAt.get(event) ?? -Infinity;
    if (this.now() - loggedAt < minuteMs) return;
    this.#loggedAt.set(event, this.now());
    this.logger.warn(event, fields, message);
  }
}
