import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterEach, describe, expect, it } from '@jest/globals';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2';
import { type Socket, connect } from 'node:net';
import { alwaysIn } from '../../../src/application/ports/readiness.js';
import { encodeRecord } from '../../../src/domain/log/record.js';
import { defaultRecordLimits, frameRecords } from '../../../src/domain/log/records.js';
import { Log } from '../../../src/gen/log/v1/log_pb.js';
import type { FakeCommitLog } from './fake-commit-log.js';
import { closeAll, eventually, serve } from './harness.js';

/** What waits for it fails. */
const longerThanATestMs = 600_000;
const sockets: Socket[] = [];
const sessions: ClientHttp2Session[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const session of sessions.splice(0)) session.destroy();
  await closeAll();
});

interface RawClient {
  readonly socket: Socket;
  received: string;
  closed: boolean;
}

async function raw(port: number, first: string): Promise<RawClient> {
  const socket = connect(port, '127.0.0.1');
  sockets.push(socket);
  const client: RawClient = { socket, received: '', closed: false };
  socket.on('error', () => undefined).on('close', () => (client.closed = true));
  socket.on('data', (chunk: Buffer) => (client.received += chunk.toString('latin1')));
  await new Promise((resolve) => socket.once('connect', resolve));
  if (first !== '') socket.write(first, 'latin1');
  return client;
}

function http2Session(baseUrl: string): ClientHttp2Session {
  const session = connectHttp2(baseUrl);
  session.on('error', () => undefined);
  sessions.push(session);
  return session;
}

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const settings = '\0\0\0\x04\0\0\0\0\0';

describe('one port', () => {
  it('tells the protocols apart when the first bytes come one by one', async () => {
    const { port } = await serve();
    for (const [bytes, answer] of [
      ['PROPFIND / HTTP/1.1\r\nHost: localhost\r\n\r\n', /^HTTP\/1\.1 405 /],
      ['GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n', /^HTTP\/1\.1 200 /],
      // The server's first frame is SETTINGS, type 4, on stream 0.
      [preface + settings, /^000012040000000000/],
    ] as const) {
      const client = await raw(port, '');
      for (const byte of bytes) {
        client.socket.write(byte, 'latin1');
        await new Promise((resolve) => setImmediate(resolve));
      }
      await eventually('an answer', () => client.received.length > 20);
      const isText = client.received.startsWith('HTTP/');
      expect(isText ? client.received : Buffer.from(client.received, 'latin1').toString('hex')).toMatch(answer);
    }
  });

  it('answers pipelined HTTP/1.1 requests', async () => {
    const { port } = await serve();
    const client = await raw(port, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(3));
    await eventually('three answers', () => client.received.split('HTTP/1.1 200').length === 4);
  });

  it.each<[string, string]>([
    ['bytes of no protocol', '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03'],
    ['a request line without a path', 'GET\r\n\r\n'],
    ['a header that is too large', `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`],
    ['HTTP/1.1 without Host', 'GET / HTTP/1.1\r\n\r\n'],
    ['an RPC by HTTP/1.0 without Host', 'POST /log.v1.Log/Produce HTTP/1.0\r\n\r\n'],
    ['an RPC with a Host that is none', 'POST /log.v1.Log/Produce HTTP/1.1\r\nHost: [\r\n\r\n'],
    ['a target that is no path', 'OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['a target that is no URL', 'GET http://[/ HTTP/1.1\r\nHost: localhost\r\n\r\n'],
  ])('answers %s with 4xx and goes on', async (_what, bytes) => {
    const { port, baseUrl } = await serve();
    const client = await raw(port, bytes);
    await eventually('an answer', () => client.received.startsWith('HTTP/1.1 4'));
    expect((await fetch(`${baseUrl}/healthz`)).status).toBe(200);
  });
});

describe('who is slow on purpose is closed by a deadline', () => {
  const timeouts = { handshakeMs: 100, headersMs: 150, bodyMs: 200, pingIntervalMs: 5_000 };

  it.each<[string, string]>([
    ['says nothing', ''],
    ['sends half a preface', 'PRI * HTTP/2'],
    ['sends the preface and no SETTINGS', preface],
    ['sends half a header', 'GET / HTTP/1.1\r\nHo'],
    ['sends half a body', 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{"rec'],
    [
      'sends half the body of a call',
      'POST /log.v1.Log/Produce HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/proto\r\nContent-Length: 10\r\n\r\nabc',
    ],
  ])('%s', async (_what, bytes) => {
    const { port, server } = await serve({ timeouts });
    const client = await raw(port, bytes);
    await eventually('the server closed', () => client.closed);
    expect(server.connections).toBe(0);
  });

  it('says so to the one whose body does not come', async () => {
    const { baseUrl } = await serve({ timeouts });
    const stream = http2Session(baseUrl).request({ ':method': 'POST', ':path': '/' });
    stream.write('{"rec');
    const headers = await new Promise<{ ':status'?: number }>((resolve) => stream.once('response', resolve));
    expect(headers[':status']).toBe(408);
  });

  it('a call over HTTP/2 whose message does not come', async () => {
    const { baseUrl } = await serve({ timeouts });
    const stream = http2Session(baseUrl).request({
      ':method': 'POST',
      ':path': '/log.v1.Log/Consume',
      'content-type': 'application/grpc',
    });
    stream.on('error', () => undefined);
    stream.write(Buffer.from([0, 0]));
    await new Promise((resolve) => stream.once('close', resolve));
    expect(stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
  });

  it('a session that does not answer PING, one without streams', async () => {
    const { port, server } = await serve({ timeouts: { ...timeouts, pingIntervalMs: 50 } });
    const mute = await raw(port, preface + settings);
    await eventually('the mute one is closed', () => mute.closed);

    const idle = await serve({ timeouts: { ...timeouts, pingIntervalMs: 50, sessionIdleMs: 150 } });
    const session = http2Session(idle.baseUrl);
    const started = performance.now();
    await eventually('the idle one is closed', () => session.closed);
    expect(performance.now() - started).toBeGreaterThan(140);
    await eventually('no connection is left', () => server.connections + idle.server.connections === 0);
  });

  it('an HTTP/1.1 connection without requests', async () => {
    const { port } = await serve({ timeouts: { keepAliveMs: 100 } });
    const client = await raw(port, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await eventually('the server closed', () => client.closed);
    expect(client.received).toMatch(/^HTTP\/1\.1 200/);
  });

  it('one session does not wait for another', async () => {
    // Long enough for an answer from a process that stands still now and then: both ends are in it.
    const pingIntervalMs = 700;
    const { baseUrl } = await serve({ timeouts: { pingIntervalMs } });
    const log = createClient(Log, createGrpcTransport({ baseUrl }));
    for (const endMs = performance.now() + 3 * pingIntervalMs; performance.now() < endMs;) {
      await log.produce({ record: {} });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
});

describe('caps', () => {
  it('closes an HTTP/1.1 connection that sends thousands of requests at once, and not one that sends some', async () => {
    const { port } = await serve();
    const request = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const some = await raw(port, request.repeat(100));
    const hostile = await raw(port, request.repeat(50_000));
    const answers = ({ received }: RawClient): number => received.split('HTTP/1.1 200 ').length - 1;
    await eventually('the hostile one to be closed', () => hostile.closed);
    await eventually('a hundred answers', () => answers(some) === 100);
    expect(answers(hostile)).toBeLessThan(50_000);
    expect(some.closed).toBe(false);
  });

  it('refuses connections over the cap of one address, and takes more when one has gone', async () => {
    const { port, server } = await serve({ connectionsPerAddressMax: 2 });
    const first = await raw(port, 'GET /heal');
    await raw(port, 'GET /heal');
    await eventually('two are in', () => server.connections === 2);
    const third = await raw(port, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await eventually('the third is out', () => third.closed);
    expect(third.received).toBe('');
    first.socket.destroy();
    await eventually('one has gone', () => server.connections === 1);
    const fourth = await raw(port, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await eventually('an answer', () => fourth.received.startsWith('HTTP/1.1 200'));
  });
});

describe('readers', () => {
  const tailRequest = Buffer.from([0, 0, 0, 0, 0]).toString('latin1');
  const http1Tail =
    'POST /golog.v1.LogService/Tail HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/connect+proto\r\n' +
    `Content-Length: 5\r\n\r\n${tailRequest}`;
  const records = frameRecords([encodeRecord({ value: new Uint8Array(500_000) })], defaultRecordLimits);
  const fill = async (commitLog: FakeCommitLog, batches: number): Promise<void> => {
    for (let filled = 0; filled < batches; filled += 1) await commitLog.append(records);
  };

  it('that wait at the tail are let go when they hang up', async () => {
    const { port, baseUrl, commitLog } = await serve();
    const client = await raw(port, http1Tail);
    const stream = http2Session(baseUrl).request({
      ':method': 'POST',
      ':path': '/log.v1.Log/ConsumeStream',
      'content-type': 'application/grpc',
    });
    stream.on('error', () => undefined).end(Buffer.from(tailRequest, 'latin1'));
    await eventually('both follow', () => commitLog.openFollows === 2);
    client.socket.destroy();
    await eventually('one has gone', () => commitLog.openFollows === 1);
    stream.close(constants.NGHTTP2_CANCEL);
    await eventually('both have gone', () => commitLog.openFollows === 0);
  });

  it('that take nothing hold up only themselves, and are let go when they hang up', async () => {
    const { port, baseUrl, commitLog } = await serve();
    await fill(commitLog, 100);
    const client = await raw(port, '');
    client.socket.pause();
    client.socket.write(http1Tail, 'latin1');
    await eventually('it follows', () => commitLog.followed > 0);
    const before = commitLog.followed;
    for (let call = 0; call < 20; call += 1) expect((await fetch(`${baseUrl}/healthz`)).status).toBe(200);
    // The kernel's buffers take some megabytes; the log is 50.
    expect(commitLog.followed - before).toBeLessThan(60);
    expect(commitLog.openFollows).toBe(1);
    client.socket.destroy();
    await eventually('it is let go', () => commitLog.openFollows === 0);
  });

  it('that take nothing for too long are dropped', async () => {
    const { port, commitLog, server } = await serve({ timeouts: { stallMs: 200 } });
    await fill(commitLog, 100);
    const client = await raw(port, '');
    client.socket.pause();
    client.socket.write(http1Tail, 'latin1');
    await eventually('it follows', () => commitLog.openFollows === 1);
    await eventually('it is dropped', () => commitLog.openFollows === 0);
    await eventually('its connection too', () => server.connections === 0);
  });
});

it('a session whose client has closed its side is let go before it is asked whether it is there', async () => {
  const { port, server } = await serve();
  const client = await raw(port, `${preface}${settings}`);
  await eventually('it is a session', () => client.received !== '');
  client.socket.end();
  await eventually('it is let go', () => server.connections === 0 && client.closed);
});

describe('shutdown', () => {
  it('is immediate when nothing is in use', async () => {
    const timeouts = { handshakeMs: longerThanATestMs, headersMs: longerThanATestMs };
    const { baseUrl, port, server } = await serve({ timeouts });
    await fetch(`${baseUrl}/healthz`);
    const log = createClient(Log, createGrpcTransport({ baseUrl }));
    await log.produce({ record: {} });
    const silent = await raw(port, '');
    const half = await raw(port, 'GET / HTT');
    await eventually('all are in', () => server.connections === 4);
    await server.close(longerThanATestMs);
    await eventually('all are closed', () => silent.closed && half.closed);
    await expect(fetch(`${baseUrl}/healthz`)).rejects.toThrow();
  });

  it('ends streams with UNAVAILABLE and lets an append finish', async () => {
    const { baseUrl, server, commitLog } = await serve();
    const log = createClient(Log, createGrpcTransport({ baseUrl }));
    const other = createClient(Log, createGrpcTransport({ baseUrl }));
    let open = (): void => undefined;
    commitLog.gate = new Promise((resolve) => (open = resolve));

    const tail = log.consumeStream({ offset: 0n })[Symbol.asyncIterator]().next();
    tail.catch(() => undefined);
    async function* requests(): AsyncGenerator<object> {
      yield await Promise.resolve({ record: {} });
      await new Promise((resolve) => setTimeout(resolve, 2_000).unref());
    }
    const acknowledged: bigint[] = [];
    const producing = (async () => {
      for await (const { offset } of other.produceStream(requests())) acknowledged.push(offset);
    })();
    producing.catch(() => undefined);
    const produced = log.produce({ record: {} });
    const posted = fetch(baseUrl, { method: 'POST', body: '{"record":{"value":"AA"}}' });
    await eventually('all are under way', () => commitLog.batches.length === 3 && commitLog.openFollows === 1);

    const closed = server.close(longerThanATestMs);
    await expect(tail).rejects.toMatchObject({ code: 14, rawMessage: 'this node is shutting down' });
    open();
    expect((await produced).offset).toBeLessThan(3n);
    expect((await posted).status).toBe(200);
    await expect(producing).rejects.toMatchObject({ code: 14 });
    expect(acknowledged).toHaveLength(1);
    await closed;
  });

  it('tells probes on open connections that it stops, while calls in flight end', async () => {
    const { port, server, commitLog } = await serve();
    let open = (): void => undefined;
    commitLog.gate = new Promise((resolve) => (open = resolve));
    const body = '{"record":{"value":"AA"}}';
    const client = await raw(
      port,
      `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await eventually('it is under way', () => commitLog.batches.length === 1);
    const received = new Promise<void>((resolve) => {
      const onRequest = (): void => {
        unsubscribe('http.server.request.start', onRequest);
        resolve();
      };
      subscribe('http.server.request.start', onRequest);
    });
    const closed = server.close(longerThanATestMs);
    server.setReadiness(alwaysIn({ state: 'ready' }));
    client.socket.write('GET /readyz?latched HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await received;
    open();
    await eventually('both are answered', () => client.closed);
    expect(client.received.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 503']);
    expect(client.received).toContain('{"status":"stopping","problem":"this node is shutting down"}');
    await closed;
  });

  it('takes no longer than the grace', async () => {
    const { baseUrl, server, commitLog } = await serve();
    commitLog.gate = new Promise(() => undefined);
    const posted = fetch(baseUrl, { method: 'POST', body: '{"record":{"value":"AA"}}' });
    const outcome = posted.then(
      () => 'answered',
      () => 'cut',
    );
    await eventually('it is under way', () => commitLog.batches.length === 1);
    await server.close(100);
    expect(await outcome).toBe('cut');
    expect(server.connections).toBe(0);
  });
});
