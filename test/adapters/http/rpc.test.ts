import { create } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { Code, ConnectError, type Transport, createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import {
  createConnectTransport as createWebConnectTransport,
  createGrpcWebTransport as createWebGrpcWebTransport,
} from '@connectrpc/connect-web';
import { afterEach, describe, expect, it } from '@jest/globals';
import { OverloadedError, UnavailableError } from '../../../src/application/errors.js';
import { toOffset } from '../../../src/domain/log/offsets.js';
import type { Consistency } from '../../../src/gen/golog/v1/log_service_pb.js';
import { LogService, Position } from '../../../src/gen/golog/v1/log_service_pb.js';
import { Log, RecordSchema } from '../../../src/gen/log/v1/log_pb.js';
import { firstAppendMs } from './fake-commit-log.js';
import { closeAll, eventually, serve } from './harness.js';

afterEach(closeAll);

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const records = (...values: string[]): { value: Uint8Array }[] => values.map((value) => ({ value: bytes(value) }));

type TransportFor = (baseUrl: string) => Transport;
const http2Transports: [string, TransportFor][] = [
  [
    'Connect, HTTP/2, binary',
    (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '2', useBinaryFormat: true }),
  ],
  ['Connect, HTTP/2, JSON', (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '2', useBinaryFormat: false })],
  ['gRPC, HTTP/2, binary', (baseUrl) => createGrpcTransport({ baseUrl })],
  ['gRPC, HTTP/2, JSON', (baseUrl) => createGrpcTransport({ baseUrl, useBinaryFormat: false })],
  ['gRPC-Web, HTTP/2', (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: '2' })],
];
const transports: [string, TransportFor][] = [
  ...http2Transports,
  [
    'Connect, HTTP/1.1, binary',
    (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '1.1', useBinaryFormat: true }),
  ],
  ['Connect, HTTP/1.1, GET', (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '1.1', useHttpGet: true })],
  ['gRPC-Web, HTTP/1.1', (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: '1.1' })],
  ['Connect, fetch', (baseUrl) => createWebConnectTransport({ baseUrl })],
  [
    'Connect, fetch, GET, binary',
    (baseUrl) => createWebConnectTransport({ baseUrl, useHttpGet: true, useBinaryFormat: true }),
  ],
  ['gRPC-Web, fetch', (baseUrl) => createWebGrpcWebTransport({ baseUrl })],
];

const fullRecord = {
  value: new Uint8Array([0, 255, 10]),
  key: bytes('k'),
  headers: { a: bytes('b'), empty: new Uint8Array(0) },
};

describe.each(transports)('%s', (_name, transportFor) => {
  it('calls every unary method', async () => {
    const { baseUrl } = await serve();
    const log = createClient(Log, transportFor(baseUrl));
    const logService = createClient(LogService, transportFor(baseUrl));

    // The server's own fields are ignored.
    expect((await log.produce({ record: { ...fullRecord, offset: 99n, term: 9n, type: 7 } })).offset).toBe(0n);
    const appended = await logService.append({ records: records('a', '', 'c'), expectedOffset: 1n });
    expect(appended).toMatchObject({
      baseOffset: 1n,
      recordCount: 3,
      receipt: { term: 3n, index: 2n, syncedOn: ['fake-1'] },
    });

    const { record } = await log.consume({ offset: 0n });
    const appendTime = { seconds: BigInt(Math.floor(firstAppendMs / 1000)), nanos: (firstAppendMs % 1000) * 1_000_000 };
    expect(record).toEqual(create(RecordSchema, { ...fullRecord, offset: 0n, term: 3n, appendTime }));
    expect((await log.consume({ offset: 2n })).record).toMatchObject({ value: bytes(''), offset: 2n });

    const read = await logService.read({ from: { case: 'offset', value: 2n } });
    expect(read).toMatchObject({ logStartOffset: 0n, highWatermark: 4n });
    expect(read.batches).toMatchObject([{ baseOffset: 2n, term: 3n, records: records('', 'c') }]);
    const all = await logService.read({});
    expect(all.batches.map(({ records }) => records.length)).toEqual([1, 3]);
    expect(all.batches[0]?.records[0]).toMatchObject(fullRecord);

    expect(await log.getServers({})).toMatchObject({
      servers: [{ id: 'fake-1', rpcAddr: '127.0.0.1:8400', isLeader: true }],
    });
    expect(await logService.getLogInfo({})).toMatchObject({
      highWatermark: 4n,
      logEndOffset: 4n,
      bytes: 4096n,
      segments: 2,
    });
  });

  it('streams, follows the tail, and stops when the client does', async () => {
    const { baseUrl, commitLog } = await serve();
    const log = createClient(Log, transportFor(baseUrl));
    const logService = createClient(LogService, transportFor(baseUrl));
    await logService.append({ records: records('a', 'b') });

    const abort = new AbortController();
    const seen: [bigint, string][] = [];
    const consuming = (async () => {
      for await (const { record } of log.consumeStream({ offset: 1n }, { signal: abort.signal })) {
        seen.push([record?.offset ?? -1n, Buffer.from(record?.value ?? []).toString()]);
        if (seen.length === 1) await logService.append({ records: records('c', 'd') });
        if (seen.length === 3) abort.abort();
      }
    })();
    await expect(consuming).rejects.toMatchObject({ code: Code.Canceled });
    expect(seen).toEqual([
      [1n, 'b'],
      [2n, 'c'],
      [3n, 'd'],
    ]);
    await eventually('the follow ended', () => commitLog.openFollows === 0);

    const tailAbort = new AbortController();
    const tail = logService.tail({ from: { case: 'last', value: 1n } }, { signal: tailAbort.signal });
    const first = await tail[Symbol.asyncIterator]().next();
    expect(first.value).toMatchObject({ batches: [{ baseOffset: 3n, records: records('d') }], highWatermark: 4n });
    tailAbort.abort();
    await eventually('the tail ended', () => commitLog.openFollows === 0);
  });

  it('carries an error with its code and its data', async () => {
    const { baseUrl, commitLog } = await serve();
    const log = createClient(Log, transportFor(baseUrl));
    const error = await log
      .consume({ offset: 18_446_744_073_709_551_615n })
      .catch((e: unknown) => ConnectError.from(e));
    expect(error).toMatchObject({ code: Code.OutOfRange, rawMessage: expect.stringContaining('18446744073709551615') });
    expect(errorInfoOf(error)).toEqual({
      reason: 'OUT_OF_RANGE',
      domain: 'golog.v1',
      metadata: { offset: '18446744073709551615', logStartOffset: '0', highWatermark: '0' },
    });

    commitLog.failure = new UnavailableError('no leader', '10.0.0.7:8400');
    const unavailable = await log.produce({ record: {} }).catch((e: unknown) => ConnectError.from(e));
    expect(unavailable).toMatchObject({ code: Code.Unavailable, rawMessage: 'no leader' });
    expect((unavailable as ConnectError).metadata.get('golog-leader')).toBe('10.0.0.7:8400');
  });
});

function errorInfoOf(error: unknown): { reason: string; domain: string; metadata: Record<string, string> } {
  const info = { reason: '', domain: '', metadata: {} as Record<string, string> };
  const detail = error instanceof ConnectError ? error.details[0] : undefined;
  if (detail === undefined || !('type' in detail) || detail.type !== 'google.rpc.ErrorInfo') return info;
  const reader = new BinaryReader(detail.value);
  while (reader.pos < reader.len) {
    const [field] = reader.tag();
    if (field === 1) info.reason = reader.string();
    else if (field === 2) info.domain = reader.string();
    else {
      reader.uint32();
      reader.tag();
      const name = reader.string();
      reader.tag();
      info.metadata[name] = reader.string();
    }
  }
  return info;
}

describe.each(http2Transports)('streams of appends: %s', (_name, transportFor) => {
  it('are answered in order', async () => {
    const { baseUrl, commitLog } = await serve();
    const log = createClient(Log, transportFor(baseUrl));
    async function* requests(): AsyncGenerator<{ record: { value: Uint8Array } }> {
      for (let sent = 0; sent < 600; sent += 1) yield await Promise.resolve({ record: { value: bytes(String(sent)) } });
    }
    const offsets: bigint[] = [];
    for await (const { offset } of log.produceStream(requests())) offsets.push(offset);
    expect(offsets).toEqual(Array.from({ length: 600 }, (_, place) => BigInt(place)));
    expect(commitLog.batches).toHaveLength(600);
  });

  it('end with the first error, after the answers before it', async () => {
    const { baseUrl, commitLog } = await serve();
    const logService = createClient(LogService, transportFor(baseUrl));
    async function* requests(): AsyncGenerator<{ records: { value: Uint8Array }[]; expectedOffset?: bigint }> {
      yield await Promise.resolve({ records: records('a') });
      yield { records: records('b'), expectedOffset: 7n };
      // A client may go on sending for as long as it likes.
      await eventually('the failure', () => commitLog.batches.length > 5, 200).catch(() => undefined);
      yield { records: records('c') };
    }
    const answers: bigint[] = [];
    const appending = (async () => {
      for await (const { baseOffset } of logService.appendStream(requests())) answers.push(baseOffset);
    })();
    await expect(appending).rejects.toMatchObject({ code: Code.FailedPrecondition });
    expect(answers).toEqual([0n]);
    expect(commitLog.batches).toHaveLength(1);
  });

  it('end at the deadline', async () => {
    const { baseUrl } = await serve();
    const log = createClient(Log, transportFor(baseUrl));
    async function* silent(): AsyncGenerator<{ record: { value: Uint8Array } }> {
      yield await Promise.resolve({ record: { value: bytes('a') } });
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
    const producing = (async () => {
      for await (const response of log.produceStream(silent(), { timeoutMs: 200 })) expect(response.offset).toBe(0n);
    })();
    await expect(producing).rejects.toMatchObject({ code: Code.DeadlineExceeded });
  });
});

describe('requests', () => {
  const client = (baseUrl: string) => createClient(LogService, createGrpcTransport({ baseUrl }));
  const codeOf = async (call: Promise<unknown>): Promise<Code | undefined> =>
    call.then(
      () => undefined,
      (error: unknown) => ConnectError.from(error).code,
    );

  it('are refused when they make no sense', async () => {
    const { baseUrl, commitLog } = await serve();
    const logService = client(baseUrl);
    const log = createClient(Log, createGrpcTransport({ baseUrl }));
    const read = (request: Parameters<typeof logService.read>[0]) => codeOf(logService.read(request));
    expect(await codeOf(log.produce({}))).toBe(Code.InvalidArgument);
    expect(await codeOf(logService.append({}))).toBe(Code.InvalidArgument);
    expect(await codeOf(logService.append({ records: [{ value: new Uint8Array(1 << 20) }] }))).toBe(
      Code.InvalidArgument,
    );
    expect(await codeOf(logService.append({ records: [{ value: new Uint8Array(2 << 20) }] }))).toBe(
      Code.ResourceExhausted,
    );
    expect(await codeOf(logService.append({ records: records('a'), expectedOffset: 1n << 60n }))).toBe(
      Code.FailedPrecondition,
    );
    expect(await read({ from: { case: 'position', value: 9 as Position } })).toBe(Code.InvalidArgument);
    expect(await read({ consistency: 9 as Consistency })).toBe(Code.InvalidArgument);
    expect(await read({ from: { case: 'since', value: { seconds: 1n << 60n, nanos: 0 } } })).toBe(Code.InvalidArgument);
    expect(await read({ from: { case: 'offset', value: 1n << 60n } })).toBe(Code.OutOfRange);
    expect(await read({ notBeforeOffset: 1n << 60n })).toBe(Code.OutOfRange);
    expect(commitLog.batches).toEqual([]);
  });

  it('take every way to say where to read from', async () => {
    const { baseUrl } = await serve();
    const logService = client(baseUrl);
    for (const value of ['a', 'b', 'c']) await logService.append({ records: records(value) });
    const first = async (request: Parameters<typeof logService.read>[0]): Promise<bigint | undefined> =>
      (await logService.read(request)).batches[0]?.baseOffset;
    expect(await first({})).toBe(0n);
    expect(await first({ from: { case: 'position', value: Position.EARLIEST } })).toBe(0n);
    expect(await first({ from: { case: 'position', value: Position.LATEST } })).toBeUndefined();
    expect(await first({ from: { case: 'last', value: 1n } })).toBe(2n);
    expect(await first({ from: { case: 'last', value: (1n << 64n) - 1n } })).toBe(0n);
    // A nanosecond after the first batch's millisecond is the second's.
    const seconds = BigInt(Math.floor(firstAppendMs / 1000));
    expect(await first({ from: { case: 'since', value: { seconds, nanos: 250_000_001 } } })).toBe(1n);
    expect(await first({ from: { case: 'since', value: { seconds: -1n, nanos: 0 } } })).toBe(0n);
  });

  it('keep a header named __proto__ on the way out, and refuse it on the way in', async () => {
    const { baseUrl } = await serve();
    await fetch(baseUrl, { method: 'POST', body: '{"record":{"value":"v","headers":{"__proto__":"x"}}}' });
    const response = await fetch(`${baseUrl}/log.v1.Log/Consume`, {
      method: 'POST',
      headers: { 'content-type': 'application/proto' },
      body: '',
    });
    expect(Buffer.from(await response.arrayBuffer()).toString('latin1')).toContain('\x0a\x09__proto__\x12\x01x');
    // log.v1.ProduceRequest { record { value: "v", headers { "__proto__": "x" } } }
    const refused = await fetch(`${baseUrl}/log.v1.Log/Produce`, {
      method: 'POST',
      headers: { 'content-type': 'application/proto' },
      body: Buffer.from('\x0a\x13\x0a\x01v\x3a\x0e\x0a\x09__proto__\x12\x01x', 'latin1'),
    });
    expect(await refused.json()).toMatchObject({
      code: 'invalid_argument',
      message: expect.stringMatching(/record 0 .*__proto__/),
    });
  });

  it('end at their deadline, and may not ask for more than a timer can do', async () => {
    const { baseUrl, commitLog } = await serve();
    commitLog.gate = new Promise(() => undefined);
    const log = createClient(Log, createGrpcTransport({ baseUrl }));
    const tail = log.consumeStream({ offset: 0n }, { timeoutMs: 100 });
    await expect(tail[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    await eventually('the follow ended', () => commitLog.openFollows === 0);
    const response = await fetch(`${baseUrl}/log.v1.Log/Consume`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'connect-timeout-ms': '9999999999' },
      body: '{}',
    });
    expect([response.status, await response.json()]).toMatchObject([400, { code: 'invalid_argument' }]);
  });

  it('over HTTP/1.1 get 505 for a stream in both directions', async () => {
    const { baseUrl } = await serve();
    const headers = { 'content-type': 'application/connect+proto' };
    const response = await fetch(`${baseUrl}/log.v1.Log/ProduceStream`, { method: 'POST', headers, body: '' });
    expect(response.status).toBe(505);
  });

  it('learn nothing of an error that nobody foresaw', async () => {
    const { baseUrl, commitLog, logger } = await serve();
    commitLog.failure = new Error('ENOENT: /var/lib/secret');
    const error = await client(baseUrl)
      .read({})
      .catch((e: unknown) => ConnectError.from(e));
    expect(error).toMatchObject({ code: Code.Internal, rawMessage: expect.not.stringMatching(/secret|ENOENT/) });
    expect(logger.lines).toEqual([
      expect.objectContaining({
        level: 'error',
        event: 'call_failed',
        fields: expect.objectContaining({ method: 'golog.v1.LogService/Read' }),
      }),
    ]);
    commitLog.failure = new OverloadedError('appends waiting', 3);
    expect(await codeOf(client(baseUrl).append({ records: records('a') }))).toBe(Code.ResourceExhausted);
  });

  it('of 10,000 empty records are one batch', async () => {
    const { baseUrl } = await serve();
    const empty = Array.from({ length: 10_000 }, () => ({}));
    expect(await client(baseUrl).append({ records: empty })).toMatchObject({ baseOffset: 0n, recordCount: 10_000 });
    const last = await client(baseUrl).read({ from: { case: 'offset', value: 9_999n } });
    expect(last.batches[0]?.records).toHaveLength(1);
  });

  it('below the log start are out of range', async () => {
    const { baseUrl, commitLog } = await serve();
    await client(baseUrl).append({ records: records('a', 'b') });
    commitLog.logStartOffset = toOffset(1);
    expect(await codeOf(client(baseUrl).read({ from: { case: 'offset', value: 0n } }))).toBe(Code.OutOfRange);
  });
});
