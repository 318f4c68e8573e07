import { afterEach, describe, expect, it } from '@jest/globals';
import { create, toBinary } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import type { UniversalServerRequest } from '@connectrpc/connect/protocol';
import { connect } from 'node:http2';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { compressionBrotli, compressionGzip } from '@connectrpc/connect-node';
import { withElementLimit } from '../../../src/adapters/http/element-limit.js';
import { elementsMax } from '../../../src/adapters/http/strict-message.js';
import { AppendRequestSchema } from '../../../src/gen/golog/v1/log_service_pb.js';
import { closeAll, serve } from './harness.js';

afterEach(closeAll);

const appendPath = '/golog.v1.LogService/Append';
const path = '/golog.v1.LogService/Read';
const streamPath = '/golog.v1.LogService/Tail';
const refusal = 'the message has more than 4096 elements. Expected fewer headers, names or values';
const recordRefusal = refusal.replace('message', 'record');

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

/** So many fields that nobody knows, of two bytes each. */
function unknown(fields: number): Uint8Array {
  return Buffer.alloc(2 * fields, Buffer.from([0x78, 0x00]));
}

/** So many objects, the outermost one included. */
function json(objects: number): Uint8Array {
  return Buffer.from(`{"unknown":[${Array.from({ length: objects - 1 }, () => '{}').join(',')}]}`);
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
    url: `http://localhost${appendPath}`,
    header: new Headers({ 'content-type': contentType, ...header }),
    signal: new AbortController().signal,
    body: chunks(),
    contextValues: { get: () => undefined as never, set: () => undefined as never, delete: () => undefined as never },
  };
  const passed: Uint8Array[] = [];
  const options = { readBytesMax: 2 << 20, compressions: [compressionGzip, compressionBrotli] };
  const { body: checked } = withElementLimit(request, AppendRequestSchema, options);
  for await (const chunk of checked as AsyncIterable<Uint8Array>) passed.push(chunk);
  return Buffer.concat(passed);
}

const refused = expect.objectContaining({ code: Code.ResourceExhausted, rawMessage: refusal });

describe('the fields of a message', () => {
  const varied = Buffer.concat([
    toBinary(
      AppendRequestSchema,
      create(AppendRequestSchema, { records: [{ value: Buffer.alloc(300, 0x0a) }], expectedOffset: 2n ** 64n - 1n }),
    ),
    // fixed64 and fixed32 that nobody knows, and a tag and a length that are longer than they need be.
    Buffer.from([0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7d, 1, 2, 3, 4]),
    Buffer.from([0x8a, 0x80, 0x80, 0x80, 0x00, 0x82, 0x80, 0x00, 0x0a, 0x00]),
  ]);
  const variedFields = 5;

  it.each([3, 1024, 1 << 20])('are counted in chunks of %i bytes', async (chunkBytes) => {
    const most = Buffer.concat([varied, binary(elementsMax - variedFields)]);
    const tooMany = Buffer.concat([varied, binary(elementsMax - variedFields + 1)]);
    expect((await pass('application/proto', most, chunkBytes)).equals(most)).toBe(true);
    await expect(pass('application/proto', tooMany, chunkBytes)).rejects.toEqual(refused);
    const stream = Buffer.concat([enveloped(most), enveloped(Buffer.alloc(0)), enveloped(most)]);
    expect((await pass('application/grpc', stream, chunkBytes)).equals(stream)).toBe(true);
    await expect(
      pass('application/connect+proto', Buffer.concat([stream, enveloped(tooMany)]), chunkBytes),
    ).rejects.toEqual(refused);
  });

  it('are counted in each envelope that is compressed, and pass in clear', async () => {
    const [most, tooMany] = [elementsMax, elementsMax + 1].map(binary);
    for (const [type, name] of [
      ['application/grpc', 'grpc-encoding'],
      ['application/grpc-web+proto', 'grpc-encoding'],
      ['application/connect+proto', 'connect-content-encoding'],
    ] as const)
      for (const [encoding, encode] of Object.entries(encodings).slice(1)) {
        const header = { [name]: encoding };
        const stream = Buffer.concat([enveloped(encode(most), 1), enveloped(most)]);
        const plain = Buffer.concat([enveloped(most), enveloped(most)]);
        expect((await pass(type, stream, 1024, header)).equals(plain)).toBe(true);
        const bomb = Buffer.concat([stream, enveloped(encode(tooMany), 1)]);
        await expect(pass(type, bomb, 1024, header)).rejects.toEqual(refused);
        // What nobody can decompress is refused by who reads it.
        expect((await pass(type, bomb, 1024, { [name]: 'lz4' })).equals(bomb)).toBe(true);
      }
  });

  it('are counted in envelopes whatever Content-Encoding says, which is for a message alone', async () => {
    const header = { 'content-encoding': 'gzip' };
    await expect(pass('application/grpc', enveloped(binary(100_000)), 1024, header)).rejects.toEqual(refused);
    await expect(pass('application/proto', gzipSync(binary(100_000)), 1024, header)).rejects.toEqual(refused);
  });

  it('are counted as headers of records', async () => {
    const headers = Buffer.alloc(2 * elementsMax, Buffer.from([0x3a, 0x00]));
    const record = (bytes: Buffer): Buffer => {
      const head = Buffer.from([0x0a, (bytes.length & 0x7f) | 0x80, ((bytes.length >> 7) & 0x7f) | 0x80]);
      return Buffer.concat([head, Buffer.from([bytes.length >> 14]), bytes]);
    };
    await expect(pass('application/proto', record(headers), 1024)).rejects.toEqual(refused);
    const fewer = record(headers.subarray(2));
    expect((await pass('application/proto', fewer, 1024)).equals(fewer)).toBe(true);
  });

  it('are not read in an envelope with flags that no request has', async () => {
    for (const flags of [2, 4, 0x80])
      for (const type of ['application/grpc', 'application/grpc-web', 'application/connect+json'])
        await expect(pass(type, enveloped(json(1), flags), 1024)).rejects.toMatchObject({ code: Code.InvalidArgument });
  });

  it('are not read in a message that is too large, which is refused by who reads it', async () => {
    const large = Buffer.alloc(3 << 20, 0x0a);
    expect((await pass('application/proto', large, 1 << 16)).equals(large)).toBe(true);
    const envelope = enveloped(large);
    expect((await pass('application/grpc', envelope, 1 << 16)).equals(envelope)).toBe(true);
  });
});

/** What the parser would take, and then find other fields than can be counted: half a mebibyte of records each time. */
const bomb = Buffer.alloc(1_000_000, Buffer.from([0x0a, 0x00]));
const disguised: readonly (readonly [string, readonly number[]])[] = [
  ['a group in front', [0x7b, 0x7c]],
  ['the end of a group in front', [0x0c]],
  ['a wire type that there is not', [0x0e]],
  ['a record that says it is a varint', [0x08, 0x00]],
  ['a record that says it is a number of 8 bytes', [0x09, 0x00]],
  ['an offset that says it is bytes', [0x12, 0xf0, 0x3d]],
  ['a value that ends beyond its record', [0x0a, 0x02, 0x0a, 0x04]],
  ['a header that ends beyond its record', [0x0a, 0x02, 0x3a, 0x04]],
  ['a tag within a record that ends beyond it', [0x0a, 0x01, 0x8a]],
  ['a length beyond the message', [0x0a, 0xff, 0xff, 0xff, 0x07]],
  ['a length of more than 32 bits', [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]],
  ['field 0', [0x02, 0x00]],
];

describe('a message that is malformed on purpose', () => {
  it.each(disguised)('is refused before it is parsed: %s', async (_, head) => {
    const malformed = expect.objectContaining({
      code: Code.InvalidArgument,
      rawMessage: expect.stringMatching(/^the message is malformed: /),
    });
    const body = Buffer.concat([Buffer.from(head), bomb]);
    await expect(pass('application/proto', body, 1 << 16)).rejects.toEqual(malformed);
    await expect(pass('application/grpc', enveloped(body), 1 << 16)).rejects.toEqual(malformed);
    const header = { 'content-encoding': 'gzip' };
    await expect(pass('application/proto', gzipSync(body), 1 << 16, header)).rejects.toEqual(malformed);
  });

  it('is told so over Connect', async () => {
    const { baseUrl, commitLog } = await serve();
    const headers = { 'content-type': 'application/proto' };
    for (const [, head] of disguised) {
      const body = Buffer.concat([Buffer.from(head), Buffer.from([0x0a, 0x00])]);
      const answer = await fetch(`${baseUrl}${appendPath}`, { method: 'POST', body, headers });
      expect([head, answer.status, await answer.json()]).toEqual([
        head,
        400,
        expect.objectContaining({ code: 'invalid_argument' }),
      ]);
    }
    expect(commitLog.batches).toHaveLength(0);
  });
});

describe('a message of more than 4,096 elements', () => {
  it('is one of JSON with many names or values too, and so is a record', async () => {
    const { baseUrl, commitLog } = await serve();
    const names = (count: number, value: string): string =>
      Array.from({ length: count }, (_, i) => `"${i.toString(36)}":${value}`).join(',');
    const many = `{${names(100_000, '1')}}`;
    const bodies = [many, `{"unknown":[${'1e5,'.repeat(300_000)}1]}`];
    for (const [method, body, message] of [
      ...bodies.flatMap((body) => [path, appendPath].map((method) => [method, body, refusal] as const)),
      [appendPath, `{"records":[{},{"headers":{${names(100_000, '""')}}}]}`, recordRefusal],
      [appendPath, `{"records":[{},${many}]}`, recordRefusal],
      [appendPath, `{"records":[],"unknown":${many}}`, refusal],
    ] as const) {
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(`${baseUrl}${method}`, { method: 'POST', body, headers });
      expect([response.status, await response.json()]).toEqual([429, { code: 'resource_exhausted', message }]);
    }
    expect(commitLog.batches).toHaveLength(0);
  });

  it('is malformed when it is JSON nested deeper than any message', async () => {
    const { baseUrl, commitLog } = await serve();
    const deep = '['.repeat(700_000);
    for (const [method, body] of [
      [path, deep],
      [appendPath, deep],
      [appendPath, `{"records":[${deep}`],
    ]) {
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(`${baseUrl}${method}`, { method: 'POST', body, headers });
      const answer = { code: 'invalid_argument', message: 'the JSON is nested deeper than 100 levels' };
      expect([response.status, await response.json()]).toMatchObject([400, answer]);
    }
    expect(commitLog.batches).toHaveLength(0);
  });

  it.each(Object.entries(encodings))('is RESOURCE_EXHAUSTED over Connect: %s', async (encoding, encode) => {
    const { baseUrl, commitLog } = await serve();
    const call = (type: string, body: Uint8Array, method = path): Promise<Response> =>
      fetch(`${baseUrl}${method}`, {
        method: 'POST',
        body: encode(body),
        headers: { 'content-type': type, 'content-encoding': encoding },
      });
    for (const [type, message] of [
      ['application/proto', unknown],
      ['application/json', json],
    ] as const) {
      const response = await call(type, message(450_000));
      expect([response.status, await response.json()]).toEqual([429, { code: 'resource_exhausted', message: refusal }]);
      expect((await call(type, message(elementsMax + 1))).status).toBe(429);
      expect((await call(type, message(elementsMax))).status).toBe(200);
    }
    const braces = Buffer.from(`{"records":[{"value":"AAAA"}],"unknown":"\\"${'{'.repeat(100_000)}"}`);
    expect((await call('application/json', braces, appendPath)).status).toBe(200);
    expect(commitLog.batches).toHaveLength(1);
  });

  it('is so over HTTP/1.1 by gRPC-Web', async () => {
    const { baseUrl } = await serve();
    const headers = { 'content-type': 'application/grpc-web+proto' };
    const body = enveloped(unknown(700_000));
    const answer = await fetch(`${baseUrl}${path}`, { method: 'POST', body, headers });
    expect(decodeURIComponent(await answer.text())).toContain(refusal);
  });

  it('is so in envelopes and in streams, by every protocol', async () => {
    const { baseUrl } = await serve();
    for (const [type, message] of [
      ['proto', unknown(100_000)],
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
