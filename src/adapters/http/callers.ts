import type { Http2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { anonymous, type Caller } from '../../application/access/access.js';
import { type HttpRequest, isHttp2 } from './http-message.js';

/** Whose certificate could not be found again: it may not do what needs one. */
const unknown: Caller = { subject: anonymous.subject, certified: false };

/** Who is at the other end of each connection. */
export class Callers {
  readonly #ofSockets = new WeakMap<Socket, Caller>();
  readonly #ofSessions = new WeakMap<Http2Session, Caller>();
  #beginning: Caller | undefined;
  #begun: Http2Session | undefined;

  /** An HTTP/1.1 connection. */
  knowSocket(socket: Socket, caller: Caller): void {
    this.#ofSockets.set(socket, caller);
  }

  /** Runs what makes an HTTP/2 session at once, and has `knowSession` called with it; answers the session. */
  beginSession(caller: Caller, begin: () => void): Http2Session | undefined {
    this.#beginning = caller;
    begin();
    const session = this.#begun;
    this.#beginning = this.#begun = undefined;
    return session;
  }

  knowSession(session: Http2Session): void {
    if (this.#beginning !== undefined) this.#ofSessions.set(session, this.#beginning);
    this.#begun = session;
  }

  of(request: HttpRequest): Caller {
    if (!isHttp2(request)) return this.#ofSockets.get(request.socket) ?? unknown;
    const { session } = request.stream;
    return (session === undefined ? undefined : this.#ofSessions.get(session)) ?? unknown;
  }
}
