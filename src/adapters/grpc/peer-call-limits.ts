import type { IncomingHttpHeaders, Http2Session, ServerHttp2Stream } from 'node:http2';
import type { Server, ServerInterceptingCallInterface } from '@grpc/grpc-js';
import { http2ServersOf } from './session-limits.js';

/** The HTTP/2 window of a connection that carries calls of peers, and of each of its streams. */
const windowBytes = 4 << 20;

/** Gives one call a smaller limit on received messages than the server has. */
export function limitMessages(call: ServerInterceptingCallInterface, bytesMax: number): void {
  const decoder: unknown = Reflect.get(call, 'decoder');
  if (typeof decoder === 'object' && decoder !== null) Reflect.set(decoder, 'maxReadMessageLength', bytesMax);
  Reflect.set(call, 'maxReceiveMessageSize', bytesMax);
}

/** Widens the windows of a peer's connection when its first call to one of these paths comes in; those of clients stay small. */
export function widenWindows(
  server: Server,
  paths: ReadonlySet<string>,
  isPeer: (session: Http2Session) => boolean,
): void {
  if (paths.size === 0) return;
  const wide = new WeakSet<object>();
  const onStream = ({ session }: ServerHttp2Stream, headers: IncomingHttpHeaders): void => {
    if (session === undefined || wide.has(session) || !paths.has(String(headers[':path'])) || !isPeer(session)) return;
    wide.add(session);
    session.settings({ initialWindowSize: windowBytes });
    session.setLocalWindowSize(windowBytes);
  };
  for (const http2Server of http2ServersOf(server)) http2Server.on('stream', onStream);
}
