import type { ServerHttp2Session } from 'node:http2';

export interface SessionKeeperOptions {
  /** From the session to the peer's SETTINGS. */
  readonly handshakeMs: number;
  readonly pingIntervalMs: number;
  /** Without streams for so long a session is closed. */
  readonly sessionIdleMs: number;
}

interface Kept {
  streams: number;
  /** `performance.now()` when the last stream ended, or the session began. */
  idleSince: number;
  awaitsPong: boolean;
}

/**
 * Watches over HTTP/2 sessions. Node 20 leaks a session and its descriptor for ever after some malformed frames, even
 * with the client gone; only an unanswered PING or an idle deadline that ends in `destroy()` reaps those.
 */
export class SessionKeeper {
  readonly #stored = new Map<ServerHttp2Session, Kept>();
  readonly #timer: NodeJS.Timeout;
  #closing = false;

  constructor(private readonly options: SessionKeeperOptions) {
    this.#timer = setInterval(() => {
      this.#sweep();
    }, options.pingIntervalMs);
    this.#timer.unref();
  }

  get sessions(): number {
    return this.#stored.size;
  }

  keep(session: ServerHttp2Session): void {
    const stored: Kept = { streams: 0, idleSince: performance.now(), awaitsPong: false };
    const handshake = setTimeout(() => {
      session.destroy();
    }, this.options.handshakeMs);
    this.#stored.set(session, stored);
    session.once('remoteSettings', () => {
      clearTimeout(handshake);
    });
    session.on('error', () => {
      session.destroy();
    });
    session.on('frameError', () => {
      session.destroy();
    });
    session.on('stream', (stream) => {
      stored.streams += 1;
      stream.once('close', () => {
        stored.streams -= 1;
        stored.idleSince = performance.now();
      });
    });
    session.once('close', () => {
      clearTimeout(handshake);
      this.#stored.delete(session);
    });
    if (this.#closing) session.close();
  }

  #sweep(): void {
    const now = performance.now();
    for (const [session, stored] of this.#stored) {
      const idle = stored.streams === 0 && now - stored.idleSince >= this.options.sessionIdleMs;
      if (stored.awaitsPong || session.destroyed || (session.closed && stored.streams === 0)) session.destroy();
      else if (idle) session.close();
      else this.#ping(session, stored);
    }
  }

  #ping(session: ServerHttp2Session, stored: Kept): void {
    stored.awaitsPong = true;
    const sent = session.ping((error) => {
      if (error === null) stored.awaitsPong = false;
    });
    if (!sent) session.destroy();
  }

  /** Tells every peer to open no more streams (GOAWAY); a session closes when its last stream has ended. */
  close(): void {
    this.#closing = true;
    clearInterval(this.#timer);
    for (const session of this.#stored.keys()) session.close();
  }
}
