import { constants, type Http2Server, type Http2Session, type ServerHttp2Stream } from 'node:http2';

/** The streams that a session may begin in one turn of the event loop, for each that it may have open. */
const streamsPerTurn = 4;

/**
 * Ends a session that begins more streams in one turn of the event loop. No more than are allowed at a time are open,
 * so the others were reset again; Node reads on for two megabytes before anything else has its turn, which is seconds
 * of work for nothing (rapid reset, CVE-2023-44487). To be called after `spreadStreams`.
 */
export function limitBursts(server: Http2Server, concurrentStreamsMax: number): void {
  const begun = new WeakMap<Http2Session, number>();
  server.on('stream', ({ session }: ServerHttp2Stream) => {
    if (session === undefined) return;
    const streams = (begun.get(session) ?? 0) + 1;
    begun.set(session, streams);
    if (streams === 1) setImmediate(() => begun.delete(session));
    if (streams > streamsPerTurn * concurrentStreamsMax)
      session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  });
}
