import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import type { GrpcServerOptions } from '../../../src/adapters/grpc/index.js';
import { Log } from '../../../src/gen/log/v1/log_pb.js';
import { type Fixture, start, until } from './fixture.js';

/** What waits for it fails. */
const longerThanATestMs = 600_000;
const sockets: Socket[] = [];
let fixture: Fixture | undefined;

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await fixture?.close();
  fixture = undefined;
});

async function serve(options: Partial<GrpcServerOptions> = {}): Promise<Fixture> {
  fixture = await start(options);
  return fixture;
}

async function raw(port: number, first = ''): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  sockets.push(socket);
  socket.on('error', () => undefined).resume();
  await once(socket, 'connect');
  if (first !== '') socket.write(first, 'latin1');
  return socket;
}

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const settings = '\0\0\0\x04\0\0\0\0\0';

describe('close', () => {
  it('does not wait for connections that say nothing, or half a preface', async () => {
    const { server, port } = await serve({ handshakeMs: longerThanATestMs });
    const silent = await raw(port);
    const half = await raw(port, 'PRI * HTT');
    await until(() => server.connections === 2);
    await server.close(longerThanATestMs);
    await until(() => silent.destroyed && half.destroyed);
  });

  it.each([
    ['the preface and no SETTINGS', preface],
    ['the preface and SETTINGS', preface + settings],
    ['the preface and bytes of no frame', preface + '\xff'.repeat(20_000)],
  ])('takes little longer than the grace for a peer that sends %s', async (_what, bytes) => {
    const { server, port } = await serve({ handshakeMs: longerThanATestMs });
    await raw(port, bytes);
    await until(() => server.connections === 1);
    await server.close(100);
    expect(server.connections).toBe(0);
  });
});

describe('connections', () => {
  it.each([
    ['says nothing', ''],
    ['sends half a preface', 'PRI * HTT'],
    ['speaks HTTP/1.1', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'],
  ])('who %s is closed by a deadline', async (_what, bytes) => {
    const { server, port } = await serve({ handshakeMs: 50 });
    const socket = await raw(port, bytes);
    await until(() => socket.destroyed && server.connections === 0);
  });

  it('are kept past the deadline when they speak HTTP/2, the preface byte by byte', async () => {
    const { port, client } = await serve({ handshakeMs: 300 });
    const socket = await raw(port);
    let received = 0;
    socket.on('data', (chunk: Buffer) => (received += chunk.length));
    for (const byte of preface + settings) {
      socket.write(byte, 'latin1');
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => received > 0);
    await client.unary(Log.method.produce, { record: {} });
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(socket.destroyed).toBe(false);
    await client.unary(Log.method.produce, { record: {} });
  });

  it.each([{ connectionsPerAddressMax: 2 }, { connectionsMax: 2 }])('over the cap are refused: %j', async (caps) => {
    const { server, port, client } = await serve(caps);
    const first = await raw(port);
    await raw(port);
    await until(() => server.connections === 2);
    const third = await raw(port);
    await until(() => third.destroyed);
    first.destroy();
    await until(() => server.connections === 1);
    await client.unary(Log.method.produce, { record: {} });
  });
});

describe('a client that has gone', () => {
  it('is let go at once, with the stream it had open', async () => {
    const { server, port } = await serve();
    const socket = await raw(port, preface + settings);
    await until(() => server.connections === 1 && socket.bytesRead > 0);
    socket.end();
    await until(() => server.connections === 0);
  });
});
