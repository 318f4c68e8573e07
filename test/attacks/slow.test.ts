import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Log } from '../../src/gen/log/v1/log_pb.js';
import { AttackedNode, mebibyte } from './attacked-node.js';
import { HostileClient } from './hostile-client.js';
import * as h2 from './http2-frames.js';
import { produceHeaders } from './malformed.js';

/** Group 2 of the attacks that SECURITY.md speaks of: who takes his time is closed by a deadline. */

let node: AttackedNode;

beforeAll(async () => {
  const slowMs = 600;
  node = await AttackedNode.start({
    grpc: {
      ...{ handshakeMs: 1_000, requestMs: slowMs, stallMs: slowMs, connectionIdleMs: 2 * slowMs },
      ...{ keepaliveMs: 500, keepaliveTimeoutMs: 1_000 },
    },
    http: {
      timeouts: {
        ...{ handshakeMs: 1_000, headersMs: slowMs, bodyMs: slowMs, stallMs: slowMs },
        ...{ keepAliveMs: slowMs, sessionIdleMs: 2 * slowMs, pingIntervalMs: 1_000 },
      },
    },
  });
  const log = createClient(Log, createGrpcTransport({ baseUrl: `http://127.0.0.1:${node.grpcPort}` }));
  const record = { value: Buffer.alloc(mebibyte / 2) };
  for (let written = 0; written < 32; written += 1) await log.produce({ record });
}, 60_000);

afterAll(() => node.stop());

const pongs = true;
const noWindow = [h2.setting.initialWindowSize, 0] as const;
const hungUp = (clients: readonly HostileClient[]): void => {
  expect(clients.filter(({ hungUp }) => !hungUp)).toEqual([]);
};

const callTo = (path: string, method = 'POST', contentType = 'application/grpc'): Buffer =>
  h2.headerBlock([
    ...([
      [':method', method],
      [':scheme', 'http'],
      [':path', path],
      [':authority', 'localhost'],
    ] as const),
    ...([
      ['content-type', contentType],
      ['te', 'trailers'],
    ] as const),
  ]);

const tail = [h2.headers(1, callTo('/golog.v1.LogService/Tail')), h2.data(1, h2.enveloped(Buffer.alloc(0)), 1)];

const onBoth = (name: string, attack: (port: number) => Promise<void>, limits = {}): Promise<void> =>
  node.withstands(name, () => Promise.all([attack(node.grpcPort), attack(node.httpPort)]), limits);

describe('a deadline closes', () => {
  it('who is slow to begin', async () => {
    const clients: HostileClient[] = [];
    await onBoth('slow to begin', async (port) => {
      for (const bytes of [
        '',
        'PRI',
        'PRI * HTTP/2.0\r\n\r\nSM\r\n\r',
        'GET / HT',
        'POST / HTTP/1.1\r\nHost: localhost\r\n',
      ]) {
        const client = await HostileClient.connect(port, { pongs });
        client.send(bytes);
        clients.push(client);
      }
      const [bare, mute, half] = [{}, {}, {}].map(() => HostileClient.connect(port, { pongs }));
      (await bare).http2();
      (await mute).http2(h2.settings());
      (await half).http2(h2.settings(), h2.headers(1, produceHeaders, 0));
      clients.push(...(await Promise.all([bare, mute, half])));
    });
    hungUp(clients);
  });

  it('whose request does not end', async () => {
    const clients: HostileClient[] = [];
    await onBoth('slow request', async (port) => {
      for (let count = 0; count < 10; count += 1) {
        const client = await HostileClient.greet(port, { pongs });
        client.send(h2.headers(1, produceHeaders), h2.data(1, h2.enveloped(Buffer.alloc(3), 0, 1_000)));
        // A byte now and then is no excuse.
        const trickle = setInterval(() => client.send(h2.data(1, Buffer.alloc(1))), 100);
        client.socket.once('close', () => clearInterval(trickle));
        setTimeout(() => clearInterval(trickle), 3_000);
        clients.push(client);
      }
    });
    hungUp(clients);
    for (const { frames } of clients)
      expect(frames.some(({ type, streamId }) => type === h2.frameType.rstStream && streamId === 1)).toBe(true);
  });

  it('whose request over HTTP/1.1 does not end, or who sends no other', async () => {
    const clients: HostileClient[] = [];
    await node.withstands('slow request, HTTP/1.1', async () => {
      for (const bytes of [
        'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{"rec',
        'POST /log.v1.Log/Produce HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/proto\r\nContent-Length: 10\r\n\r\nabc',
        'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n',
      ]) {
        const client = await HostileClient.connect(node.httpPort);
        client.send(bytes);
        clients.push(client);
      }
    });
    hungUp(clients);
  });

  it('a reader that grants no window', async () => {
    const clients: HostileClient[] = [];
    const consume = callTo('/log.v1.Log/Consume');
    await onBoth('no window', async (port) => {
      for (let count = 0; count < 20; count += 1) {
        const client = await HostileClient.greet(port, { pongs }, noWindow);
        client.send(...tail, h2.headers(3, consume), h2.data(3, h2.enveloped(Buffer.alloc(0)), 1));
        clients.push(client);
      }
    });
    hungUp(clients);
    for (const { frames } of clients) {
      const reset = frames.filter(({ type }) => type === h2.frameType.rstStream).map(({ streamId }) => streamId);
      expect(reset.sort()).toEqual([1, 3]);
    }
  });

  it('a reader that grants no window to a JSON response', async () => {
    const clients: HostileClient[] = [];
    await node.withstands('no window, JSON', async () => {
      const client = await HostileClient.greet(node.httpPort, { pongs }, noWindow);
      client.send(h2.headers(1, callTo('/?offset=0', 'GET', 'text/plain'), h2.flag.endHeaders | h2.flag.endStream));
      clients.push(client);
    });
    hungUp(clients);
  });

  it('100 readers that leave all in the kernel, and what is kept for them is bounded', () =>
    onBoth(
      'deaf readers',
      async (port) => {
        const windows = [h2.setting.initialWindowSize, 0x7fffffff] as const;
        for (let count = 0; count < 50; count += 1) {
          const client = await HostileClient.greet(port, { deaf: true }, windows);
          client.send(h2.windowUpdate(0, 0x7fff0000 - 65_535), ...tail);
        }
      },
      // For each what was read, up to 2 MiB, and the messages made of it.
      { peakBytesMax: 512 * mebibyte },
    ));
});
