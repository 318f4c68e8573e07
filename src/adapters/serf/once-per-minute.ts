import type { Logger } from '../../application/ports/logger.js';

const minuteMs = 60_000;

/** Warnings about what others send: each kind once a minute, so that nobody can fill the log. */
export class OncePerMinute {
  readonly #toldAt = new Map<string, number>();

  constructor(
    private readonly now: () => number,
    private readonly logger: Logger,
  ) {}

  /** `message` is the kind. */
  tell(fields: object, message: string): void {
    const toldAt = this.#toldAt.get(message) ?? -Infinity;
    if (this.now() - toldAt < minuteMs) return;
    this.#toldAt.set(message, this.now());
    this.logger.warn(fields, message);
  }
}
