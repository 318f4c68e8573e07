import { constants, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { headerBytesMax } from './limits.js';

/** What a header pair costs beside its text (RFC 9113 §6.5.2). */
const pairBytes = 32;

/**
 * Refuses requests whose headers are larger than the server's SETTINGS allow, with 431: for a peer they are advice, and
 * Node reads up to 64 KiB. To be called before `spreadStreams`, so that nothing else sees such a stream.
 */
export function refuseLargeHeaders(server: Http2Server): void {
  const listeners = server.listeners('stream');
  server.removeAllListeners('stream').on('stream', (...event) => {
    const [stream, headers] = event as [ServerHttp2Stream, IncomingHttpHeaders, ...unknown[]];
    if (sizeOf(headers) <= headerBytesMax) {
      for (const listener of listeners) Reflect.apply(listener, server, event);
      return;
    }
    stream.on('error', () => undefined);
    stream.respond({ ':status': 431, 'content-type': 'text/plain' });
    stream.end(`the headers of the request are too large: expected at most ${headerBytesMax} bytes\n`, () => {
      stream.close(constants.NGHTTP2_NO_ERROR);
    });
  });
}

function sizeOf(headers: IncomingHttpHeaders): number {
  let bytes = 0;
  for (const [name, value = ''] of Object.entries(headers)) {
    const values = typeof value === 'string' ? [value] : value;
    for (const each of values) bytes += name.length + each.length + pairBytes;
  }
  return bytes;
}
