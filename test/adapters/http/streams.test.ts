import { once } from 'node:events';
import { connect } from 'node:http2';
import { gunzipSync } from 'node:zlib';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { afterEach, expect, it } from '@jest/globals';
import {
  LogService,
  Position,
  ReadRequestSchema,
  ReadResponseSchema,
} from '../../../src/gen/golog/v1/log_service_pb.js';
import { enveloped } from '../../attacks/http2-frames.js';
import { closeAll, eventually, serve } from './harness.js';

afterEach(closeAll);

/** The messages in the envelopes, each with its flag; an incomplete one is left out. */
function messagesIn(bytes: Buffer): { flag: number; message: Buffer }[] {
  const messages: { flag: number; message: Buffer }[] = [];
  for (let start = 0; bytes.length >= start + 5;) {
    const end = start + 5 + bytes.readUInt32BE(start + 1);
    if (end > bytes.length) break;
    messages.push({ flag: bytes.readUInt8(start), message: bytes.subarray(start + 5, end) });
    start = end;
  }
  return messages;
}

it.each([
  ['Connect', 'application/connect+proto', 'connect-accept-encoding'],
  ['gRPC', 'application/grpc', 'grpc-accept-encoding'],
  ['gRPC-Web', 'application/grpc-web+proto', 'grpc-accept-encoding'],
])('compresses the large messages of a stream by %s, the first and later ones', async (_, contentType, accept) => {
  const { baseUrl, port, commitLog } = await serve();
  const log = createClient(LogService, createConnectTransport({ baseUrl, httpVersion: '2' }));
  const session = connect(`http://127.0.0.1:${port}`);
  const stream = session.request({
    ...{ ':method': 'POST', ':path': '/golog.v1.LogService/Tail', 'content-type': contentType },
    ...{ te: 'trailers', [accept]: 'gzip' },
  });
  const from = { case: 'position', value: Position.LATEST } as const;
  stream.end(enveloped(toBinary(ReadRequestSchema, create(ReadRequestSchema, { from }))));
  let received = Buffer.alloc(0);
  stream.on('data', (piece: Buffer) => (received = Buffer.concat([received, piece])));
  await eventually('the tail', () => commitLog.openFollows === 1);

  const sizes = [5_000, 10, 5_000, 20, 60_000];
  for (const [i, size] of sizes.entries()) {
    await log.append({ records: [{ value: new Uint8Array(size) }] });
    await eventually('its message', () => messagesIn(received).length > i);
  }
  const found = messagesIn(received);
  expect(found.map(({ flag }) => flag)).toEqual([1, 0, 1, 0, 1]);
  const valueBytes = found.map(({ flag, message }) => {
    const { batches } = fromBinary(ReadResponseSchema, flag === 1 ? gunzipSync(message) : message);
    return batches.flatMap(({ records }) => records.map(({ value }) => value.length));
  });
  expect(valueBytes).toEqual(sizes.map((size) => [size]));
  session.destroy();
  await once(session, 'close');
});
