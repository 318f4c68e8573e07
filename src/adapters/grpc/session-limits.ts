import { EventEmitter } from 'node:events';
import { constants, type Http2Server, type Http2Stream, type Http2Session, type ServerHttp2Stream } from 'node:http2';
import { Duplex } from 'node:stream';
import type { Server, ServerInterceptingCallInterface } from '@grpc/grpc-js';
import { StreamScheduler, type StreamSchedulerOptions } from '../../application/access/stream-scheduler.js';

/**
 * What grpc-js has no options for, set on the objects inside it. Where a release of grpc-js names them otherwise,
 * nothing is set, and test/attacks fails.
 */

/** More fields, or bytes of them, than these have the stream refused. */
const headerPairsMax = 100;
const headerBytesMax = 16 * 1024;
/** Frames that break the protocol without ending the session by themselves. */
const invalidFramesMax = 50;

/** Before the server has its HTTP/2 servers. */
export function limitHeaders(server: Server): void {
  const options: unknown = Reflect.get(server, 'commonServerOptions');
  if (typeof options !== 'object' || options === null) return;
  const settings: unknown = Reflect.get(options, 'settings');
  Object.assign(options, {
    settings: { ...(settings as object | undefined), maxHeaderListSize: headerBytesMax },
    maxHeaderListPairs: headerPairsMax,
    maxSessionInvalidFrames: invalidFramesMax,
  });
}

/** The HTTP/2 servers that there are so far. */
export function http2ServersOf(server: Server): Http2Server[] {
  const servers: unknown = Reflect.get(server, 'http2Servers');
  if (!(servers instanceof Map)) return [];
  return [...servers.keys()].filter((each) => each instanceof EventEmitter) as Http2Server[];
}

/** The session that a connection becomes, which `inject` hands to the server. */
export function sessionFrom(server: Server, inject: () => void): Http2Session | undefined {
  const sessions: Http2Session[] = [];
  const take = (session: Http2Session): void => {
    sessions.push(session);
  };
  const http2Servers = http2ServersOf(server);
  for (const http2Server of http2Servers) http2Server.on('session', take);
  inject();
  for (const http2Server of http2Servers) http2Server.off('session', take);
  return sessions[0];
}

/**
 * Ends a session that begins more streams in one turn of the event loop. No more than are allowed at a time are open,
 * so the others were reset again; Node reads on for two megabytes before anything else has its turn, which is seconds
 * of work for nothing (rapid reset, CVE-2023-44487).
 */
export function limitBursts(server: Server, streamsPerTurnMax: number): void {
  const begun = new WeakMap<Http2Session, number>();
  const onStream = ({ session }: ServerHttp2Stream): void => {
    if (session === undefined) return;
    const streams = (begun.get(session) ?? 0) + 1;
    begun.set(session, streams);
    if (streams === 1) setImmediate(() => begun.delete(session));
    if (streams > streamsPerTurnMax) session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  };
  for (const http2Server of http2ServersOf(server)) http2Server.on('stream', onStream);
}

/**
 * Has the server begin to serve so many streams in one turn of the event loop, and the others later; ends the session of
 * one whose address has too many waiting. Before there is a session.
 */
export function spreadStreams(server: Server, options: StreamSchedulerOptions): void {
  for (const http2Server of http2ServersOf(server)) {
    const listeners = http2Server.listeners('stream');
    const serve = (begun: readonly [ServerHttp2Stream, ...unknown[]]): void => {
      if (!begun[0].destroyed) for (const listener of listeners) Reflect.apply(listener, http2Server, begun);
    };
    const gate = new StreamScheduler(options, serve, setImmediate);
    http2Server.removeAllListeners('stream').on('stream', (...begun) => {
      const [stream] = begun;
      const { session } = stream;
      // It may fail while it waits.
      stream.on('error', () => undefined);
      if (session === undefined || session.destroyed) return;
      if (gate.enter(begun, String(session.socket.remoteAddress))) return;
      session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    });
  }
}

function streamOf(call: ServerInterceptingCallInterface): Http2Stream | undefined {
  const stream: unknown = Reflect.get(call, 'stream');
  return stream instanceof Duplex ? (stream as Http2Stream) : undefined;
}

/** Resets the stream of a call, which may be closed already. */
export function resetStream(call: ServerInterceptingCallInterface, code: number): void {
  streamOf(call)?.close(code);
}

/** A reader that takes this much is no idle one, however long the message. */
const pieceBytes = 16 * 1024;
/** What Node calls bytes that are no text, though its types do not know. */
const bytesEncoding = 'buffer' as BufferEncoding;

/**
 * Has what a call sends written piece by piece, and calls back for each that its reader has taken. Node tells only that
 * all of a message, or of several that wait together, is taken, which is minutes for a slow reader.
 */
export function sendInPieces(call: ServerInterceptingCallInterface, onTaken: () => void): void {
  const stream = streamOf(call);
  if (stream === undefined) return;
  const write = stream._write.bind(stream);
  const writePieces = (bytes: Buffer, encoding: BufferEncoding, taken: (error?: Error | null) => void): void => {
    if (bytes.length <= pieceBytes) {
      write(bytes, encoding, taken);
      return;
    }
    write(bytes.subarray(0, pieceBytes), encoding, (error) => {
      if (error) {
        taken(error);
        return;
      }
      onTaken();
      writePieces(bytes.subarray(pieceBytes), encoding, taken);
    });
  };
  stream._write = writePieces;
  stream._writev = (chunks, taken) => {
    writePieces(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer)), bytesEncoding, taken);
  };
}

/** Unlike a call's own cancellation, it comes in any case. */
export function onceStreamClosed(call: ServerInterceptingCallInterface, callback: () => void): void {
  streamOf(call)?.once('close', callback);
}
