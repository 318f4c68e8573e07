import { once } from 'node:events';
import { type ClientHttp2Session, connect, createServer, type IncomingHttpHeaders } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { refuseLargeHeaders } from './large-headers.js';

const server = createServer();
let client: ClientHttp2Session;
beforeEach(async () => {
  server.on('stream', (stream) => {
    stream.respond({ ':status': 200 }, { endStream: true });
  });
  refuseLargeHeaders(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
afterEach(() => {
  client.destroy();
  server.close();
});

it('F34: more than 16 KiB of headers are refused, with words', async () => {
  const ask = async (headers: Record<string, string | string[]>): Promise<[number | undefined, string]> => {
    const stream = client.request({ ':path': '/', ...headers });
    let text = '';
    stream.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    const closed = once(stream, 'close');
    const [answer] = (await once(stream, 'response')) as [IncomingHttpHeaders & { ':status'?: number }];
    await closed;
    return [answer[':status'], text];
  };
  const many = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`x-${i}`, 'y'.repeat(1_000)]));
  expect(await ask({ x: 'y'.repeat(15_000) })).toEqual([200, '']);
  expect(await ask({ x: 'y'.repeat(17_000) })).toEqual([431, expect.stringContaining('at most 16384 bytes')]);
  expect(await ask(many)).toEqual([431, expect.stringContaining('at most 16384 bytes')]);
  expect(await ask({ cookie: ['a='.concat('b'.repeat(9_000)), 'c='.concat('d'.repeat(9_000))] })).toEqual([
    431,
    expect.stringContaining('at most'),
  ]);
});
