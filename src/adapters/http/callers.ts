import type { Http2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { Caller } from '../../application/access/access.js';
import { unknownCaller } from '../listener/unknown-caller.js';
import { type HttpRequest, isHttp2 } from './http-message.js';

/** The caller at the other end of each connection. */
export class Callers {
  readonly #ofSockets = new WeakMap<Socket, Caller>();
  readonly #ofSessions = new WeakMap<Http2Session, Caller>();

  /** An HTTP/1.1 connection. */
  knowSocket(socket: Socket, caller: Caller): void {
    this.#ofSockets.set(socket, caller);
  }

  knowSession(session: Http2Session, caller: Caller): void {
    this.#ofSessions.set(session, caller);
  }

  of(request: HttpRequest): Caller {
    if (!isHttp2(request)) return this.#ofSockets.get(request.socket) ?? unknownCaller;
    const { session } = request.stream;
    return (session === undefined ? undefined : this.#ofSessions.get(session)) ?? unknownCaller;
  }
}
