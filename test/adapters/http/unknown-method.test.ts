import { type Transport, createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { afterEach, describe, expect, it } from '@jest/globals';
import { connect as connectHttp2 } from 'node:http2';
import { Log } from '../../../src/gen/log/v1/log_pb.js';
import { closeAll, serve } from './harness.js';

afterEach(closeAll);

const unknownLog = { ...Log, typeName: 'log.v9.Log' };
const transports: [string, (baseUrl: string) => Transport][] = [
  ['Connect, JSON', (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '1.1', useBinaryFormat: false })],
  ['Connect, binary', (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '2', useBinaryFormat: true })],
  ['gRPC', (baseUrl) => createGrpcTransport({ baseUrl })],
  ['gRPC-Web', (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: '1.1' })],
];

describe('a call of what does not exist', () => {
  it.each(transports)('is UNIMPLEMENTED: %s', async (_name, transportFor) => {
    const { baseUrl } = await serve();
    const method = { ...Log.method.produce, parent: unknownLog };
    const streamMethod = { ...Log.method.consumeStream, parent: unknownLog };
    const log = createClient({ ...unknownLog, methods: [method, streamMethod] }, transportFor(baseUrl));
    await expect(log.produce({})).rejects.toMatchObject({
      code: 12,
      rawMessage: 'there is no method /log.v9.Log/Produce',
    });
    const stream = log.consumeStream({})[Symbol.asyncIterator]();
    await expect(stream.next()).rejects.toMatchObject({
      code: 12,
      rawMessage: 'there is no method /log.v9.Log/ConsumeStream',
    });
  });

  it.each(['application/grpc', 'application/grpc+proto', 'application/grpc-web+proto'])(
    'is trailers only: %s',
    async (contentType) => {
      const { baseUrl } = await serve();
      const session = connectHttp2(baseUrl);
      const stream = session.request({ ':method': 'POST', ':path': '/a.B/C%20', 'content-type': contentType });
      stream.end(Buffer.alloc(5)).resume();
      const headers = await new Promise((resolve) => stream.once('response', resolve));
      session.close();
      expect(headers).toMatchObject({
        ':status': 200,
        'content-type': contentType,
        'grpc-status': '12',
        'grpc-message': 'there is no method /a.B/C%2520',
      });
    },
  );

  it('is a problem where it is no call', async () => {
    const { baseUrl } = await serve();
    expect((await fetch(`${baseUrl}/a.B/C`, { method: 'POST', body: 'x' })).status).toBe(404);
    expect((await fetch(`${baseUrl}/a.B/C`)).headers.get('content-type')).toBe('application/problem+json');
  });
});
