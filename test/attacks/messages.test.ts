import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { status } from '@grpc/grpc-js';
import { once } from 'node:events';
import { connect, type IncomingHttpHeaders } from 'node:http2';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { LogService } from '../../src/gen/golog/v1/log_service_pb.js';
import { Log } from '../../src/gen/log/v1/log_pb.js';
import { errorOf, GrpcClient } from '../adapters/grpc/grpc-client.js';
import { AttackedNode, mebibyte } from './attacked-node.js';
import { HostileClient } from './hostile-client.js';
import * as h2 from './http2-frames.js';
import { produceHeaders } from './malformed.js';

/** Group 3 of the attacks that SECURITY.md speaks of: messages that are large, become large, or are tedious to read. */

let node: AttackedNode;

beforeAll(async () => {
  node = await AttackedNode.start({
    grpc: { keepaliveMs: 500, keepaliveTimeoutMs: 2_500 },
    http: { timeouts: { pingIntervalMs: 2_000, keepAliveMs: 1_000 } },
  });
}, 60_000);

afterAll(() => node.stop());

/** Posts over HTTP/1.1; answers the status. */
async function post(path: string, type: string, body: string | Uint8Array, headers: object = {}): Promise<number> {
  const url = `http://127.0.0.1:${node.httpPort}${path}`;
  const all = { 'content-type': type, ...headers };
  return (await fetch(url, { method: 'POST', body, headers: all })).status;
}

async function grpcCode(method: Parameters<GrpcClient['raw']>[0], message: Buffer): Promise<number> {
  const client = new GrpcClient(node.grpcPort);
  try {
    return (await errorOf(client.raw(method, message))).code;
  } finally {
    client.close();
  }
}

/** Sends a stream of requests without ending it; answers the status. */
async function grpcStreamStatus(port: number, path: string, body: Uint8Array): Promise<number> {
  const session = connect(`http://127.0.0.1:${port}`);
  try {
    const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc' });
    stream.write(body);
    stream.resume();
    const [trailers] = (await once(stream, 'trailers')) as [IncomingHttpHeaders];
    return Number(trailers['grpc-status']);
  } finally {
    session.destroy();
  }
}

const produce = '/log.v1.Log/Produce';
const append = '/golog.v1.LogService/Append';
const zeros = Buffer.alloc(64 * mebibyte);

describe('what is refused, and costs little memory', () => {
  it('a message of 8 MiB', () =>
    node.withstands('8 MiB', async () => {
      const large = Buffer.alloc(8 * mebibyte);
      expect(await grpcCode(Log.method.produce, large)).toBe(status.RESOURCE_EXHAUSTED);
      expect(await post(produce, 'application/proto', large)).toBe(429);
      expect(await post(produce, 'application/json', `{"record":{"value":"${'A'.repeat(8 * mebibyte)}"}}`)).toBe(429);
      expect(await post('/', 'application/json', `{"record":{"value":"${'A'.repeat(8 * mebibyte)}"}}`)).toBe(413);
    }));

  it('700,000 empty records, by every protocol of the HTTP port, five times at once', () =>
    node.withstands(
      'empty records',
      async () => {
        const records = Buffer.alloc(1_400_000, Buffer.from([0x0a, 0x00]));
        const json = `{"records":[${'{},'.repeat(450_000)}{}]}`;
        const encodings = { gzip: gzipSync, br: brotliCompressSync };
        for (const [type, body] of [
          ['application/proto', records],
          ['application/json', json],
        ] as const) {
          const all = Array.from({ length: 5 }, () => post(append, type, body));
          // More records than a batch may have: malformed, like any batch that is too large.
          expect(new Set(await Promise.all(all))).toEqual(new Set([400]));
          for (const [encoding, encode] of Object.entries(encodings)) {
            const encoded = Array.from({ length: 5 }, () => encode(body));
            const answers = encoded.map((bytes) => post(append, type, bytes, { 'content-encoding': encoding }));
            expect(new Set(await Promise.all(answers))).toEqual(new Set([400]));
          }
        }
        const stream = Buffer.concat(Array.from({ length: 5 }, () => h2.enveloped(records)));
        expect(await grpcStreamStatus(node.httpPort, `${append}Stream`, stream)).toBe(status.INVALID_ARGUMENT);
      },
      // To parse one of them takes three times as much memory, and seconds.
      { peakBytesMax: 128 * mebibyte },
    ));

  it('700,000 empty records behind what is malformed, which a lenient parser passes over, five times at once', () =>
    node.withstands(
      'malformed on purpose',
      async () => {
        const records = Buffer.alloc(1_390_000, Buffer.from([0x0a, 0x00]));
        // A group, a record of another wire type, and two whose content ends beyond them.
        for (const head of ['7b7c', '0800', '0a020a04', '0a018a']) {
          const body = Buffer.concat([Buffer.from(head, 'hex'), records]);
          const all = Array.from({ length: 5 }, () => post(append, 'application/proto', body));
          expect(new Set(await Promise.all(all))).toEqual(new Set([400]));
          expect(await post(append, 'application/proto', gzipSync(body), { 'content-encoding': 'gzip' })).toBe(400);
          const stream = h2.enveloped(body);
          expect(await grpcStreamStatus(node.httpPort, `${append}Stream`, stream)).toBe(status.INVALID_ARGUMENT);
        }
      },
      // To parse one of them takes three times as much memory, and seconds.
      { peakBytesMax: 128 * mebibyte },
    ));

  it('messages that say they have 4 GiB', () =>
    node.withstands('4 GiB', async () => {
      for (const port of [node.grpcPort, node.httpPort]) {
        const hostile = await HostileClient.greet(port);
        for (let id = 1; id < 200; id += 2)
          hostile.send(h2.headers(id, produceHeaders), h2.data(id, h2.enveloped(Buffer.alloc(100), 0, 0xffff_ffff)));
      }
    }));

  it.each([
    ['gzip', gzipSync(zeros)],
    ['br', brotliCompressSync(zeros)],
  ])('64 MiB of zeros by %s, twenty times at once', (encoding, bomb) =>
    node.withstands(`64 MiB by ${encoding}`, async () => {
      const encoded = { 'content-encoding': encoding };
      const all = Array.from({ length: 20 }, () => post(produce, 'application/proto', bomb, encoded));
      expect(new Set(await Promise.all(all))).toEqual(new Set([429]));
      expect(await post(append, 'application/json', bomb, encoded)).toBe(429);
    }),
  );

  it('1,500 messages of a mebibyte in one session, each of a kilobyte by gzip', () =>
    node.withstands(
      'bombs in one session',
      async () => {
        const bomb = h2.enveloped(gzipSync(Buffer.alloc(mebibyte)), 1);
        const bombs = Buffer.concat(Array.from({ length: 15 }, () => bomb));
        const compressed = Buffer.concat([produceHeaders, h2.headerBlock([['grpc-encoding', 'gzip']])]);
        for (const port of [node.grpcPort, node.httpPort]) {
          const hostile = await HostileClient.greet(port);
          for (let id = 1; id < 200; id += 2) hostile.send(h2.headers(id, compressed));
          for (let id = 1; id < 200; id += 2) hostile.send(h2.data(id, bombs));
        }
      },
      // A message that was taken for each of 200 calls, and as much that the collector has yet to find.
      { peakBytesMax: 600 * mebibyte },
    ));

  it('JSON that is nested 400,000 levels deep', () =>
    node.withstands(
      'deep JSON',
      async () => {
        const deep = '['.repeat(400_000) + ']'.repeat(400_000);
        expect(await post('/', 'application/json', deep)).toBe(400);
        for (const path of [produce, append]) {
          expect(await post(path, 'application/json', deep)).toBe(400);
          expect(await post(path, 'application/json', `{"record":${deep}}`)).toBe(400);
          expect(await post(path, 'application/json', '{"record":'.repeat(60_000))).toBe(400);
        }
      },
      // JSON.parse makes an array of some hundred bytes of each level, before anything can be refused.
      { peakBytesMax: 512 * mebibyte },
    ));

  it('a million repeated fields', () =>
    node.withstands('a million fields', async () => {
      const fields = (bytes: readonly number[], times: number): Buffer =>
        Buffer.alloc(bytes.length * times, Buffer.from(bytes));
      // A field that nobody knows, and records without anything in them.
      const [unknown, records] = [fields([0x78, 0x01], 500_000), fields([0x0a, 0x00], 1_000_000)];
      expect(await grpcCode(LogService.method.append, unknown)).toBe(status.INVALID_ARGUMENT);
      expect(await grpcCode(LogService.method.append, records)).toBe(status.RESOURCE_EXHAUSTED);
      // What appends is not parsed, so the fields cost nothing: there is no record.
      expect(await post(append, 'application/proto', unknown)).toBe(400);
      expect(await post(append, 'application/proto', records)).toBe(429);
      expect(await post(append, 'application/json', `{"records":[${'{},'.repeat(1_000_000)}{}]}`)).toBe(429);
    }));
});
