import { connect as connectHttp2 } from 'node:http2';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from '../cluster/free-ports.js';
import { loggedLines } from '../logging/logged-lines.js';
import { CertificateSet } from '../security/certificate-sets.js';
import { compile, Scratch, ServerProcess } from './golog-process.js';

const scratch = new Scratch();
const [serving, notServing] = ['0801', '0802'];

/** Calls `Check` of gRPC health, and resolves with the bytes of its answer in hex, or with the code of the error. */
function check(addr: string, service: string, method = 'Check'): Promise<string | number> {
  const client = new Client(addr, credentials.createInsecure());
  const name = Buffer.from(service);
  const request = name.length === 0 ? name : Buffer.concat([Buffer.of(0x0a, name.length), name]);
  const same = (bytes: Buffer): Buffer => bytes;
  return new Promise((resolve) => {
    const done = (error: ServiceError | null, answer?: Buffer): void => {
      client.close();
      resolve(error?.code ?? answer?.toString('hex') ?? '');
    };
    client.makeUnaryRequest(`/grpc.health.v1.Health/${method}`, same, same, request, done);
  });
}

/** Calls `Watch`, and resolves with the first `count` messages in hex. */
async function watched(addr: string, service: string, count: number): Promise<string[]> {
  const client = new Client(addr, credentials.createInsecure());
  const name = Buffer.from(service);
  const request = name.length === 0 ? name : Buffer.concat([Buffer.of(0x0a, name.length), name]);
  const same = (bytes: Buffer): Buffer => bytes;
  const call = client.makeServerStreamRequest('/grpc.health.v1.Health/Watch', same, same, request);
  const told: string[] = [];
  try {
    for await (const message of call) if (told.push((message as Buffer).toString('hex')) === count) break;
  } finally {
    call.on('error', () => undefined).cancel();
    client.close();
  }
  return told;
}

describe('F31: with mutual TLS, --health-addr', () => {
  let set: CertificateSet;
  let flags: string[];
  beforeAll(async () => {
    compile();
    set = await CertificateSet.own('n1');
    flags = Object.entries({ cert: 'node-n1', key: 'node-n1-key', ca: 'ca' }).flatMap(([what, name]) => [
      `--server-tls-${what}-file`,
      set.file(name),
    ]);
    flags.push('--node-name', 'n1', '--health-addr', '127.0.0.1:0');
  }, 120_000);
  afterAll(() => {
    scratch.remove();
    set.remove();
  });

  it('answers probes without a certificate, over HTTP and gRPC, and nothing else', async () => {
    const node = await ServerProcess.start(scratch.file('n1'), undefined, flags);
    const addr = String(loggedLines(node.stderr, 'serving')[0]?.['healthAddr']);
    const status = async (path: string, method = 'GET'): Promise<number> =>
      (await fetch(`http://${addr}${path}`, { method })).status;
    for (const path of ['/healthz', '/readyz', '/readyz?latched']) expect(await status(path)).toBe(200);
    for (const path of ['/', '/ui', '/?offset=0', '//', '/log.v1.Log/Consume']) expect(await status(path)).toBe(404);
    expect(await status('/', 'POST')).toBe(405);
    for (const service of ['', 'latched']) expect(await check(addr, service)).toBe(serving);
    expect(await check(addr, 'absent')).toBe(5);
    expect(await check(addr, '', 'List')).toBe(12);
    expect(await watched(addr, 'absent', 1)).toEqual(['0803']);
    expect(await watched(addr, '', 1)).toEqual([serving]);
    expect(await node.stop()).toBe(0);
  }, 60_000);

  it('says that a node that waits for its cluster lives, and is not ready', async () => {
    const port = await freePort();
    const node = ServerProcess.spawn(scratch.file('n2'), '0', [
      ...flags,
      ...['--health-addr', `127.0.0.1:${port}`, '--bootstrap-expect', '3', '--start-join-addrs', '127.0.0.1:1'],
    ]);
    await node.until('it waited', ({ stderr }) =>
      loggedLines(stderr, 'no_node_known').length + loggedLines(stderr, 'gossip_isolated').length > 0
        ? true
        : undefined,
    );
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
    const ready = await fetch(`http://127.0.0.1:${port}/readyz`);
    expect([ready.status, await ready.json()]).toEqual([503, expect.objectContaining({ status: expect.any(String) })]);
    expect(await check(`127.0.0.1:${port}`, '')).toBe(notServing);
    expect(await watched(`127.0.0.1:${port}`, 'latched', 1)).toEqual([notServing]);
    expect(await node.stop()).toBe(0);
  }, 60_000);

  it('withstands what is no probe', async () => {
    const node = await ServerProcess.start(scratch.file('n3'), undefined, flags);
    const addr = String(loggedLines(node.stderr, 'serving')[0]?.['healthAddr']);
    const [host, port] = addr.split(':');
    for (const text of ['\0'.repeat(100), 'GET // HTTP/1.1\r\n\r\n', `GET / HTTP/1.1\r\nx: ${'x'.repeat(1e5)}`]) {
      const socket = connect(Number(port), host)
        .on('error', () => undefined)
        .resume();
      socket.write(text);
      await new Promise((resolve) => socket.on('close', resolve));
    }
    const session = connectHttp2(`http://${addr}`).on('error', () => undefined);
    const call = session.request({ ':method': 'POST', ':path': '/grpc.health.v1.Health/Check' });
    call
      .on('error', () => undefined)
      .resume()
      .end(Buffer.alloc(100_000));
    await once(call, 'close');
    session.destroy();
    expect(await check(addr, '')).toBe(serving);
    expect(await node.stop()).toBe(0);
  }, 60_000);
});
