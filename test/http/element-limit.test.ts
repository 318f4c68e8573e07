import { afterEach, describe, expect, it } from '@jest/globals';
import { create, toBinary } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import type { UniversalServerRequest } from '@connectrpc/connect/protocol';
import { connect } from 'node:http2';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { elementsMax, withElementLimit } from '../../src/adapters/http/element-limit.js';
import { AppendRequestSchema } from '../../src/gen/golog/v1/log_service_pb.js';
import { closeAll, serve } from './harness.js';

afterEach(closeAll);

const path = '/golog.v1.LogService/Append';
const streamPath = `${path}Stream`;
const refusal = 'the message has more than 65536 elements';

const encodings = {
  identity: (bytes: Uint8Array): Uint8Array => bytes,
  gzip: (bytes: Uint8Array): Uint8Array => gzipSync(bytes),
  br: (bytes: Uint8Array): Uint8Array => brotliCompressSync(bytes),
};

/** So many empty records, of two bytes each. */
function binary(records: number): Uint8Array {
  return Buffer.alloc(2 * records, Buffer.from([0x0a, 0x00]));
}

function enveloped(message: Uint8Array, flags = 0): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** With the outermost object, one less than so many records. */
function json(objects: number): Uint8Array {
  return Buffer.from(`{"records":[${Array.from({ length: objects - 1 }, () => '{}').join(',')}]}`);
}

/** What comes of the body in chunks of so many bytes. */
async function pass(contentType: string, body: Uint8Array, chunkBytes: number, header = {}): Promise<Buffer> {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < body.length; at += chunkBytes)
      yield await Promise.resolve(body.subarray(at, at + chunkBytes));
  }
  const request: UniversalServerRequest = {
    httpVersion: '1.1',
    method: 'POST',
    url: `http://localhost${path}`,
    header: new Headers({ 'content-type': contentType, ...header }),
    signal: new AbortController().signal,
    body: chunks(),
    contextValues: { get: () => undefined as never, set: () => undefined as never, delete: () => undefined as never },
  };
  const passed: Uint8Array[] = [];
  for await (const chunk of withElementLimit(request).body as AsyncIterable<Uint8Array>) passed.push(chunk);
  return Buffer.concat(passed);
}

const refused = expect.objectContaining({ code: Code.ResourceExhausted, rawMessage: refusal });

describe('the fields of a message', () => {
  const varied = Buffer.concat([
    toBinary(
      AppendRequestSchema,
      create(AppendRequestSchema, { records: [{ value: Buffer.alloc(300, 0x0a) }], expectedOffset: 2n ** 64n - 1n }),
    ),
    // fixed64, fixed32, and a tag and a length that are longer than they need be.
    Buffer.from([0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7d, 1, 2, 3, 4]),
    Buffer.from([0x8a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 0x82, 0x80, 0x00, 0x0a, 0x00]),
  ]);
  const variedFields = 5;

  it.each([3, 1024, 1 << 20])('are counted in chunks of %i bytes', async (chunkBytes) => {
    const most = Buffer.concat([varied, binary(elementsMax - variedFields)]);
    const tooMany = Buffer.concat([varied, binary(elementsMax - variedFields + 1)]);
    expect((await pass('application/proto', most, chunkBytes)).equals(most)).toBe(true);
    await expect(pass('application/proto', tooMany, chunkBytes)).rejects.toEqual(refused);
    const stream = Buffer.concat([enveloped(most), enveloped(Buffer.alloc(0)), enveloped(tooMany, 1), enveloped(most)]);
    expect((await pass('application/grpc', stream, chunkBytes)).equals(stream)).toBe(true);
    await expect(
      pass('application/connect+proto', Buffer.concat([stream, enveloped(tooMany)]), chunkBytes),
    ).rejects.toEqual(refused);
  });

  it('are counted in envelopes whatever Content-Encoding says, which is for a message alone', async () => {
    const header = { 'content-encoding': 'gzip' };
    await expect(pass('application/grpc', enveloped(binary(100_000)), 1024, header)).rejects.toEqual(refused);
    expect(await pass('application/proto', binary(100_000), 1024, header)).toHaveLength(200_000);
  });

  it('are left to the parser where they cannot be read', async () => {
    for (const malformed of [[0x7b], [0x0c], [0x0e], [0x0f], [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], [0xff]]) {
      const body = Buffer.concat([Buffer.from(malformed), Buffer.alloc(200_000, malformed[0] === 0xff ? 0xff : 0x0a)]);
      expect((await pass('application/proto', body, 1024)).equals(body)).toBe(true);
    }
  });
});

describe('a message of more than 65,536 elements', () => {
  it.each(Object.entries(encodings))('is RESOURCE_EXHAUSTED over Connect: %s', async (encoding, encode) => {
    const { baseUrl, commitLog } = await serve();
    const call = (type: string, body: Uint8Array): Promise<Response> =>
      fetch(`${baseUrl}${path}`, {
        method: 'POST',
        body: encode(body),
        headers: { 'content-type': type, 'content-encoding': encoding },
      });
    for (const [type, message] of [
      ['application/proto', binary],
      ['application/json', json],
    ] as const) {
      const response = await call(type, message(450_000));
      expect([response.status, await response.json()]).toEqual([429, { code: 'resource_exhausted', message: refusal }]);
      expect((await call(type, message(elementsMax + 1))).status).toBe(429);
      expect((await call(type, message(elementsMax))).status).toBe(200);
    }
    const braces = Buffer.from(`{"records":[{"value":"AAAA"}],"unknown":"\\"${'{'.repeat(100_000)}"}`);
    expect((await call('application/json', braces)).status).toBe(200);
    expect(commitLog.batches).toHaveLength(3);
  });

  it('is so over HTTP/1.1 by gRPC-Web', async () => {
    const { baseUrl } = await serve();
    const headers = { 'content-type': 'application/grpc-web+proto' };
    const body = enveloped(binary(700_000));
    const answer = await fetch(`${baseUrl}${path}`, { method: 'POST', body, headers });
    expect(decodeURIComponent(await answer.text())).toContain(refusal);
  });

  it('is so in envelopes and in streams, by every protocol', async () => {
    const { baseUrl } = await serve();
    for (const [type, message] of [
      ['proto', binary(100_000)],
      ['json', json(100_000)],
    ] as const)
      for (const [encoding, encode] of Object.entries(encodings))
        for (const [method, prefix, header] of [
          [path, 'application/grpc-web', 'grpc-encoding'],
          [path, 'application/grpc', 'grpc-encoding'],
          [streamPath, 'application/grpc', 'grpc-encoding'],
          [streamPath, 'application/connect', 'connect-content-encoding'],
        ] as const) {
          const headers = { 'content-type': `${prefix}+${type}`, [header]: encoding };
          const body = enveloped(encode(message), encoding === 'identity' ? 0 : 1);
          const answer = await callByHttp2(`${baseUrl}${method}`, headers, body);
          expect([method, headers, answer]).toEqual([method, headers, expect.stringContaining(refusal)]);
        }
  });
});

/** Posts, and leaves the request open; answers the body and the trailers. */
async function callByHttp2(url: string, headers: Record<string, string>, body: Uint8Array): Promise<string> {
  const session = connect(new URL(url).origin);
  try {
    const stream = session.request({ ':method': 'POST', ':path': new URL(url).pathname, ...headers });
    stream.write(body);
    let answer = '';
    stream.on('response', (fields) => (answer += JSON.stringify(fields)));
    stream.on('trailers', (fields) => (answer += JSON.stringify(fields)));
    for await (const chunk of stream) answer += String(chunk);
    return decodeURIComponent(answer);
  } finally {
    session.destroy();
  }
}
