import { EventEmitter } from 'node:events';
import type { Http2Server, Http2Stream } from 'node:http2';
import { Duplex } from 'node:stream';
import type { Server, ServerInterceptingCallInterface } from '@grpc/grpc-js';
import { limitStream } from '../listener/stream-limit.js';
import { headerBytesMax, headerPairsMax, invalidFramesMax } from '../listener/limits.js';

/**
 * What grpc-js has no options for, set on the objects inside it. Where a release of grpc-js names them otherwise,
 * nothing is set, and test/attacks fails.
 */

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

function streamOf(call: ServerInterceptingCallInterface): Http2Stream | undefined {
  const stream: unknown = Reflect.get(call, 'stream');
  return stream instanceof Duplex ? (stream as Http2Stream) : undefined;
}

/** Counts a call as one of its session until its stream closes. Throws `OverloadedError`. */
export function limitStreamOf(call: ServerInterceptingCallInterface): void {
  const stream = streamOf(call);
  if (stream !== undefined) limitStream(stream);
}

/** Resets the stream of a call, which may be closed already. */
export function resetStream(call: ServerInterceptingCallInterface, code: number): void {
  streamOf(call)?.close(code);
}

/** Calls back with the length of each piece of the call's requests that comes. */
export function onArrival(call: ServerInterceptingCallInterface, callback: (bytes: number) => void): void {
  streamOf(call)?.on('data', (piece: Buffer) => {
    callback(piece.length);
  });
}

/** Has HTTP/2's flow control stop the client of a call, until the returned function is called. */
export function pauseRequests(call: ServerInterceptingCallInterface): () => void {
  const stream = streamOf(call);
  stream?.pause();
  return () => {
    stream?.resume();
  };
}

/** A reader that accepts this much is not idle, however long the message. */
export const pieceBytes = 16 * 1024;
/** Node's name for bytes that are not text, which its types lack. */
const bytesEncoding = 'buffer' as BufferEncoding;

/**
 * Has what a call sends from now on written in pieces, all at once, and calls back for each that its reader has taken.
 * Node tells only that all of a message, or of several that wait together, is taken, which is minutes for a slow reader.
 */
export function sendInPieces(call: ServerInterceptingCallInterface, onTaken: () => void): void {
  const stream = streamOf(call);
  if (stream === undefined) return;
  const write = stream._write.bind(stream);
  const writePieces = (bytes: Buffer, encoding: BufferEncoding, taken: (error?: Error | null) => void): void => {
    let start = 0;
    for (; bytes.length - start > pieceBytes; start += pieceBytes)
      write(bytes.subarray(start, start + pieceBytes), encoding, (error) => {
        if (!error) onTaken();
      });
    write(bytes.subarray(start), encoding, taken);
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
