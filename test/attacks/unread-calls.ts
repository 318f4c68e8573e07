import { once } from 'node:events';
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ClientTls } from '../../src/client/index.js';
import { enveloped } from './http2-frames.js';

/** Below what a session may have open at a time. */
const callsPerSession = 90;

export interface UnreadCalls {
  readonly path: string;
  readonly requests: readonly Uint8Array[];
  readonly contentType?: string;
  /** Addresses of the loopback that the calls come from in turn. */
  readonly from?: readonly string[];
  readonly tls?: ClientTls | undefined;
}

/** Calls whose responses nobody takes: their HTTP/2 windows stay closed, while the connections answer PINGs. */
export class UnreadCaller {
  readonly #sessions: ClientHttp2Session[] = [];
  /** Calls whose stream has ended, by the HTTP/2 error code. */
  readonly ended = new Map<number, number>();

  /** Begins all of the calls, one connection after the other. */
  async begin(
    port: number,
    { path, requests, contentType = 'application/grpc', from = ['127.0.0.2'], tls }: UnreadCalls,
  ) {
    for (let first = 0; first < requests.length; first += callsPerSession) {
      const ends = { port, host: '127.0.0.1', localAddress: from[(first / callsPerSession) % from.length] };
      const session = connectHttp2(`http${tls ? 's' : ''}://127.0.0.1:${port}`, {
        settings: { initialWindowSize: 0 },
        createConnection: () => (tls ? connectTls({ ...ends, ...tls, ALPNProtocols: ['h2'] }) : connectTcp(ends)),
      });
      session.on('error', () => undefined);
      this.#sessions.push(session);
      await once(session, 'connect');
      for (const request of requests.slice(first, first + callsPerSession)) {
        const headers = { ':method': 'POST', ':path': path, 'content-type': contentType, te: 'trailers' };
        const stream = session.request(headers);
        stream.on('error', () => undefined);
        stream.on('close', () => this.ended.set(stream.rstCode, (this.ended.get(stream.rstCode) ?? 0) + 1));
        stream.end(enveloped(request));
      }
    }
  }

  end(): void {
    for (const session of this.#sessions.splice(0)) session.destroy();
  }
}
