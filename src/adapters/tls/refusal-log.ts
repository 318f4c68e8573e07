import type { Logger } from '../../application/ports/logger.js';

const everyMs = 10_000;
const kindsMax = 1_000;

/** Connections that are given up before anybody has called: no client meant them as a call. */
const notMeant: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE']);

/** Says which connections are refused: of an address and a reason one line in ten seconds, with how many there were. */
export class RefusalLog {
  readonly #counts = new Map<string, number>();

  constructor(private readonly logger: Logger) {}

  say(address: string | undefined, reason: string): void {
    if (notMeant.has(reason)) {
      this.logger.debug('tls_handshake_abandoned', { address, reason }, 'a TLS handshake was abandoned');
      return;
    }
    const kind = `${address} ${reason}`;
    const count = this.#counts.get(kind);
    if (count !== undefined) {
      this.#counts.set(kind, count + 1);
      return;
    }
    if (this.#counts.size >= kindsMax) return;
    this.#counts.set(kind, 0);
    this.logger.warn('connection_refused', { audit: 'refused', address, reason }, 'connection refused');
    setTimeout(() => {
      const more = this.#counts.get(kind) ?? 0;
      this.#counts.delete(kind);
      if (more > 0)
        this.logger.warn('connection_refused', { audit: 'refused', address, reason, more }, 'more connections refused');
    }, everyMs).unref();
  }
}
