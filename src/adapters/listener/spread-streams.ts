import { constants, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { StreamScheduler, type StreamSchedulerOptions } from '../../application/access/stream-scheduler.js';

/**
 * Makes the server begin streams for only so long in one turn of the event loop, and the others later. Ends the session
 * of a stream whose address has too many waiting. To be called before the server has a session.
 */
export function spreadStreams(server: Http2Server, options: StreamSchedulerOptions): void {
  const listeners = server.listeners('stream');
  const serve = (begun: readonly [ServerHttp2Stream, ...unknown[]]): void => {
    if (!begun[0].destroyed) for (const listener of listeners) Reflect.apply(listener, server, begun);
  };
  const scheduler = new StreamScheduler(options, serve, setImmediate, () => performance.now());
  server.removeAllListeners('stream').on('stream', (...begun) => {
    const [stream] = begun;
    const { session } = stream;
    // It may fail while it waits.
    stream.on('error', () => undefined);
    if (session === undefined || session.destroyed) return;
    if (scheduler.enter(begun, String(session.socket.remoteAddress))) return;
    session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  });
}
