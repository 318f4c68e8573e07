import { gzipSync } from 'node:zlib';
import { create, fromJsonString, toBinary, toJsonString } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterEach, describe, expect, it } from '@jest/globals';
import { appendRequestOfJson } from '../../../src/adapters/http/append-json.js';
import { batchRecordsMax, defaultRecordLimits, takeRecords } from '../../../src/domain/log/records.js';
import { type AppendRequest, AppendRequestSchema, LogService } from '../../../src/gen/golog/v1/log_service_pb.js';
import { closeAll, serve } from './harness.js';

afterEach(closeAll);

const path = '/golog.v1.LogService/Append';
const many = (records: number): AppendRequest =>
  create(AppendRequestSchema, {
    records: Array.from({ length: records }, (_, i) => ({ value: Buffer.from(`${i % 10}`) })),
    expectedOffset: 0n,
  });

const bytesOf = {
  proto: (request: AppendRequest): Uint8Array => toBinary(AppendRequestSchema, request),
  json: (request: AppendRequest): Uint8Array => Buffer.from(toJsonString(AppendRequestSchema, request)),
};

function enveloped(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

describe.each(['proto', 'json'] as const)('a batch of 65,536 records, as %s', (encoding) => {
  const most = many(batchRecordsMax);
  const body = bytesOf[encoding](most);
  const post = (baseUrl: string, type: string, sent: Uint8Array, headers = {}): Promise<Response> =>
    fetch(`${baseUrl}${path}`, { method: 'POST', body: sent, headers: { 'content-type': type, ...headers } });

  it('is appended, with the offset expected, as the records that it has', async () => {
    const { baseUrl, commitLog } = await serve();
    const type = `application/${encoding}`;
    expect((await post(baseUrl, type, body)).status).toBe(200);
    const { records } = takeRecords(bytesOf.proto(most), defaultRecordLimits);
    expect(Buffer.from(records.payload).equals(commitLog.batches[0]?.payload ?? new Uint8Array(0))).toBe(true);
    expect(await (await post(baseUrl, type, body)).json()).toMatchObject({ code: 'failed_precondition' });
    expect(await (await post(baseUrl, type, bytesOf[encoding](many(batchRecordsMax + 1)))).json()).toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining('65536 records'),
    });
    expect(commitLog.batches).toHaveLength(1);
  });

  it('is appended by gRPC-Web, and compressed', async () => {
    const { baseUrl, commitLog } = await serve();
    await (await post(baseUrl, `application/grpc-web+${encoding}`, enveloped(body))).arrayBuffer();
    const other = bytesOf[encoding](create(AppendRequestSchema, { records: most.records }));
    const compressed = await post(baseUrl, `application/${encoding}`, gzipSync(other), { 'content-encoding': 'gzip' });
    expect(compressed.status).toBe(200);
    expect(commitLog.batches.map(({ recordCount }) => recordCount)).toEqual([batchRecordsMax, batchRecordsMax]);
  });

  it('is appended by a stream, again and again, in order', async () => {
    const { baseUrl, commitLog } = await serve();
    const log = createClient(LogService, createGrpcTransport({ baseUrl, useBinaryFormat: encoding === 'proto' }));
    const sizes = [3, batchRecordsMax, 1, 10_000];
    async function* requests(): AsyncGenerator<{ records: AppendRequest['records'] }> {
      for (const size of sizes) yield await Promise.resolve({ records: most.records.slice(0, size) });
    }
    const counts: number[] = [];
    for await (const { recordCount } of log.appendStream(requests())) counts.push(recordCount);
    expect(counts).toEqual(sizes);
    expect(commitLog.batches.map(({ recordCount }) => recordCount)).toEqual(sizes);
  });
});

function ofJson(text: string): Uint8Array {
  const steps = appendRequestOfJson(Buffer.from(text));
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

const decoded = (text: string): AppendRequest =>
  fromJsonString(AppendRequestSchema, text, { ignoreUnknownFields: true });

describe('a request that is JSON', () => {
  const record = '{"value":"AAEC","key":"aw==","headers":{"a":"","ü\\u00e9\\"":"eA=="}}';
  it.each([
    '{}',
    '{"records":[]}',
    '{"records":null}',
    '{"records":[{}]}',
    `{"records":[${record}]}`,
    ` \t\r\n{ "records" \n: [ ${record} , {} ,\t${record} ] , "expectedOffset" : "18446744073709551615" } \n`,
    `{"expected_offset":7,"records":[${record}]}`,
    `{"r\\u0065cords":[${record}],"expectedOffset":"3"}`,
    `{"unknown":[{"records":[1,2,"]"]}],"records":[${record}],"other":{"records":"{["}}`,
    '{"records":[{"value":null,"headers":{},"offset":"9","term":"1","appendTime":"2026-01-01T00:00:00Z"}]}',
    '{"records":[{"unknown":{"a":[1,2,{"b":"]}"}]},"value":"QQ"}]}',
    '{"records":[{"value":"-_8="},{"value":"\\u0041A=="}]}',
  ])('says what the generated code says: %s', (text) => {
    expect(Buffer.from(ofJson(text)).equals(toBinary(AppendRequestSchema, decoded(text)))).toBe(true);
  });

  it.each([
    '',
    ' ',
    '[]',
    '{',
    'null',
    '1',
    '{}{}',
    '{"records"}',
    '{"records":',
    '{"records":[',
    '{"records":[{}',
    '{"records":[{}]',
    '{"records":[{},]}',
    '{"records":[,{}]}',
    '{"records":[{}{}]}',
    '{"records":[{} {}]}',
    '{"records":[{}:{}]}',
    '{"records":[{}}]}',
    '{"records":[{]]}',
    '{"records":[{"value":"A}]}',
    '{"records":[null]}',
    '{"records":[1]}',
    '{"records":["AA=="]}',
    '{"records":[[{}]]}',
    '{"records":{}}',
    '{"records":"[]"}',
    '{"records":[{}],}',
    '{"records":[{}]]}',
    '{"records":[{}]} x',
    '{"records":[{"value":1}]}',
    '{"records":[{"value":"*"}]}',
    '{"records":[{"headers":{"a":null}}]}',
    '{"records":[{}],"expectedOffset":-1}',
    '{"records":[{}\u000b,{}]}',
    "{'records':[]}",
  ])('is refused where the generated code refuses it: %s', (text) => {
    expect(() => decoded(text)).toThrow();
    expect(() => ofJson(text)).toThrow(expect.objectContaining({ name: 'InvalidInputError' }));
  });

  it('is refused where a parser would drop records or round a number', () => {
    for (const text of [
      '{"records":[{}],"records":[{}]}',
      '{"records":[{}],"record\\u0073":null}',
      '{"records":[{}],"expectedOffset":9007199254740993}',
      '{"records":[{},{"offset":9007199254740993}]}',
      '{"records":[{"headers":{"__proto__":"eA=="}}]}',
    ])
      expect(() => ofJson(text)).toThrow(expect.objectContaining({ name: 'InvalidInputError' }));
  });

  it('is told which record is wrong', async () => {
    const { baseUrl } = await serve();
    const body = '{"records":[{},{"value":"*"}]}';
    const response = await fetch(`${baseUrl}${path}`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    });
    expect([response.status, await response.json()]).toEqual([
      400,
      expect.objectContaining({ code: 'invalid_argument', message: expect.stringMatching(/^record 1 of the batch: /) }),
    ]);
  });
});
