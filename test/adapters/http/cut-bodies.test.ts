import { create, toBinary } from '@bufbuild/protobuf';
import { connect } from 'node:net';
import { once } from 'node:events';
import { afterEach, expect, it } from '@jest/globals';
import { AppendRequestSchema, LogService } from '../../../src/gen/golog/v1/log_service_pb.js';
import * as h2 from '../../attacks/http2-frames.js';
import { closeAll, eventually, serve } from './harness.js';

afterEach(closeAll);

// Each body is whole as far as its bytes go, but for END_STREAM, which never comes (RFC 9113 §8.1).
const message = toBinary(AppendRequestSchema, create(AppendRequestSchema, { records: [{ value: Buffer.from('a') }] }));
const json = Buffer.from('{"records":[{"value":"YQ=="}]}');
const append = `/${LogService.typeName}/Append`;
const bodies: [path: string, type: string, body: Uint8Array][] = [
  ['/', 'application/json', Buffer.from('{"record":{"value":"a"}}')],
  [append, 'application/proto', message],
  [append, 'application/json', json],
  [append, 'application/grpc', h2.enveloped(message)],
  [append, 'application/grpc-web', h2.enveloped(message)],
];
const ping = h2.frame(h2.frameType.ping, 0, 0, Buffer.alloc(8));
/** NO_ERROR, INTERNAL_ERROR, CANCEL. */
const codes = [0, 2, 8];

it.each(bodies)('appends nothing of a request that is reset before its end: POST %s, %s', async (path, type, body) => {
  const { port, commitLog, server } = await serve();
  const socket = connect(port, '127.0.0.1');
  socket.on('data', () => undefined);
  await once(socket, 'connect');
  const head = h2.headerBlock([
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'localhost'],
    ['content-type', type],
    ['te', 'trailers'],
  ]);
  socket.write(Buffer.concat([h2.connectionPreface, h2.settings()]));
  for (const [i, code] of codes.entries()) {
    const id = 1 + 2 * i;
    const answered = once(socket, 'data');
    socket.write(Buffer.concat([h2.headers(id, head), h2.data(id, body), ping]));
    await answered;
    socket.write(h2.rstStream(id, code));
  }
  const answered = once(socket, 'data');
  socket.write(ping);
  await answered;
  socket.end();
  await eventually('the connection has ended', () => server.connections === 0);
  expect(commitLog.batches).toEqual([]);
});
