import type { LogEvent } from '../../application/ports/log-events.js';
import type { Logger } from '../../application/ports/logger.js';

const minuteMs = 60_000;

/** Warnings about what others send: each event once a minute, so that nobody can fill the log. */
export class OncePerMinute {
  readonly #toldAt = new Map<string, number>();

  constructor(
    private readonly now: () => number,
    private readonly logger: Logger,
  ) {}

  tell(event: LogEvent<'warn'>, fields: object, message: string): void {
    const toldAt = this.#toldAt.get(event) ?? -Infinity;
    if (this.now() - toldAt < minuteMs) return;
    this.#toldAt.set(event, this.now());
    this.logger.warn(event, fields, message);
  }
}
