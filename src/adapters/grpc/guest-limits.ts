import type { IncomingHttpHeaders, Http2Server, ServerHttp2Stream } from 'node:http2';
import { EventEmitter } from 'node:events';
import type { Server, ServerInterceptingCallInterface } from '@grpc/grpc-js';

/**
 * What grpc-js has no options for, set on the objects inside it. Where a release of grpc-js names them otherwise,
 * nothing is set, and test/peer/guests.test.ts fails.
 */

/** HTTP/2 flow control of a connection, and of each of its streams, that carries data of a guest. */
const windowBytes = 4 << 20;

/** Gives one call a smaller limit on received messages than the server has. */
export function limitMessages(call: ServerInterceptingCallInterface, bytesMax: number): void {
  const decoder: unknown = Reflect.get(call, 'decoder');
  if (typeof decoder === 'object' && decoder !== null) Reflect.set(decoder, 'maxReadMessageLength', bytesMax);
  Reflect.set(call, 'maxReceiveMessageSize', bytesMax);
}

/** Widens the windows of a connection when the first call to one of these paths comes in; those of clients stay small. */
export function widenWindows(server: Server, paths: ReadonlySet<string>): void {
  const http2Servers: unknown = Reflect.get(server, 'http2Servers');
  if (paths.size === 0 || !(http2Servers instanceof Map)) return;
  const wide = new WeakSet<object>();
  const onStream = ({ session }: ServerHttp2Stream, headers: IncomingHttpHeaders): void => {
    if (session === undefined || wide.has(session) || !paths.has(String(headers[':path']))) return;
    wide.add(session);
    session.settings({ initialWindowSize: windowBytes });
    session.setLocalWindowSize(windowBytes);
  };
  for (const http2Server of http2Servers.keys())
    if (http2Server instanceof EventEmitter) (http2Server as Http2Server).on('stream', onStream);
}
