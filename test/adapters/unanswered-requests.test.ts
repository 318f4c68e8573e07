import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2';
import { gzipSync } from 'node:zlib';
import { create, toBinary } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterEach, describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../src/adapters/memory/manual-clock.js';
import { defaultMemoryBudget, MemoryBudget } from '../../src/application/access/memory-budget.js';
import { AppendRequestSchema, LogService } from '../../src/gen/golog/v1/log_service_pb.js';
import * as h2 from '../attacks/http2-frames.js';
import { start } from './grpc/fixture.js';
import { closeAll, eventually, serve } from './http/harness.js';

/** What has come of requests that are not answered is counted, on both ports, and what is too much is refused. */

const kibibyte = 1024;
const perClient = 512 * kibibyte;
/** What one call may have sent before it is told to stop. */
const slack = 70 * kibibyte;
const lookMs = 1_000;

const ends: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (let end = ends.pop(); end !== undefined; end = ends.pop()) await end();
  await closeAll();
});

type Port = 'gRPC' | 'HTTP';

async function open(
  port: Port,
  memory: MemoryBudget,
): Promise<{ number: number; gate: (gate: Promise<void>) => void }> {
  if (port === 'HTTP') {
    const { commitLog, port: number } = await serve({ memory });
    return { number, gate: (gate) => void (commitLog.gate = gate) };
  }
  const { log, close, port: number } = await start({ memory });
  ends.push(close);
  return { number, gate: (gate) => void (log.gate = gate) };
}

class Client {
  readonly session: ClientHttp2Session;

  constructor(port: number) {
    this.session = connect(`http://127.0.0.1:${port}`);
    ends.push(() => {
      this.session.destroy();
    });
  }

  call(path: string, type: string, headers: IncomingHttpHeaders = {}): Call {
    const stream = this.session.request({ ':method': 'POST', ':path': path, 'content-type': type, ...headers });
    return new Call(stream);
  }
}

class Call {
  /** What the server says in the end, of which the names are distinct. */
  said: IncomingHttpHeaders = {};
  #text = '';

  constructor(readonly stream: ClientHttp2Stream) {
    stream.on('error', () => undefined);
    for (const event of ['response', 'trailers'] as const)
      stream.on(event, (headers: IncomingHttpHeaders) => (this.said = { ...this.said, ...headers }));
    stream.on('data', (chunk: Buffer) => (this.#text += chunk.toString()));
  }

  get isRefused(): boolean {
    const { ':status': status, 'grpc-status': code } = this.said as Record<string, unknown>;
    return Number(code) === 8 || Number(status) === 429;
  }

  /** The message of the refusal. */
  get reason(): string {
    return decodeURI(String(this.said['grpc-message'] ?? this.#text));
  }
}

const kinds: [name: string, port: Port, path: string, type: string, head: Buffer][] = [
  ['Append', 'gRPC', '/golog.v1.LogService/Append', 'application/grpc', h2.enveloped(Buffer.alloc(0), 0, 1_000_000)],
  [
    'AppendStream',
    'gRPC',
    '/golog.v1.LogService/AppendStream',
    'application/grpc',
    h2.enveloped(Buffer.alloc(0), 0, 1_000_000),
  ],
  ['Read', 'gRPC', '/golog.v1.LogService/Read', 'application/grpc', h2.enveloped(Buffer.alloc(0), 0, 1_000_000)],
  ['Append', 'HTTP', '/golog.v1.LogService/Append', 'application/grpc', h2.enveloped(Buffer.alloc(0), 0, 1_000_000)],
  [
    'AppendStream',
    'HTTP',
    '/golog.v1.LogService/AppendStream',
    'application/grpc',
    h2.enveloped(Buffer.alloc(0), 0, 1_000_000),
  ],
  ['Append by Connect', 'HTTP', '/golog.v1.LogService/Append', 'application/proto', Buffer.alloc(0)],
  ['Append as JSON', 'HTTP', '/golog.v1.LogService/Append', 'application/json', Buffer.from('{"records":[')],
  ['Read as JSON', 'HTTP', '/golog.v1.LogService/Read', 'application/json', Buffer.from('{')],
  ['POST /', 'HTTP', '/', 'application/json', Buffer.from('{')],
];

describe.each(kinds)('%s on the %s port', (_, port, path, type, head) => {
  it('counts what has come of requests, and refuses what is too much for one client', async () => {
    const clock = new ManualClock();
    const memory = new MemoryBudget(
      { ...defaultMemoryBudget, bytesPerClientMax: perClient, requestShareBytes: perClient / 2 },
      clock,
    );
    const client = new Client((await open(port, memory)).number);
    const calls: Call[] = [];
    const part = Buffer.alloc(150 * kibibyte, ' ');
    const begin = async (): Promise<Call> => {
      const call = client.call(path, type);
      calls.push(call);
      const before = memory.bytes;
      call.stream.write(Buffer.concat([head, part]));
      const all = head.length + part.length;
      await eventually('the bytes to be counted', () => call.isRefused || memory.bytes > before + all - 8 * kibibyte);
      return call;
    };
    for (let count = 0; count < 3; count += 1) expect((await begin()).isRefused).toBe(false);
    const refused = [await begin(), await begin()];
    await eventually('the refusals', () => refused.every(({ isRefused }) => isRefused));
    for (const call of refused) expect(call.reason).toMatch(/bytes that the calls of one client hold \(limit 524288\)/);
    expect(memory.bytes).toBeLessThan(perClient + slack);

    // The others hold on to what they have and send nothing more, while requests are refused for it.
    for (let look = 0; look < 7; look += 1) {
      clock.advance(lookMs);
      client.call(path, type).stream.write(Buffer.concat([head, part, part]));
      await eventually(
        'another refusal, or space',
        () => calls.slice(0, 3).every(({ stream }) => stream.closed) || look < 6,
      );
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (const { stream } of calls.slice(0, 3)) expect(stream.rstCode).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    client.session.destroy();
    await eventually('all to be given back', () => memory.bytes === 0);
  });
});

describe.each(['gRPC', 'HTTP'] as const)('a stream of appends on the %s port', (port) => {
  it('waits with what is too much until earlier ones are answered, and none is refused', async () => {
    const memory = new MemoryBudget(
      { ...defaultMemoryBudget, bytesPerClientMax: perClient, requestShareBytes: perClient / 2 },
      new ManualClock(),
    );
    const { number, gate } = await open(port, memory);
    let openGate = (): void => undefined;
    gate(new Promise<void>((resolve) => (openGate = resolve)));
    const log = createClient(LogService, createGrpcTransport({ baseUrl: `http://127.0.0.1:${number}` }));
    const records = [{ value: Buffer.alloc(100 * kibibyte) }];
    const requests = 20;
    async function* batches(): AsyncGenerator<{ records: typeof records }> {
      for (let count = 0; count < requests; count += 1) {
        yield { records };
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    const answers = (async () => {
      const offsets: bigint[] = [];
      for await (const { baseOffset } of log.appendStream(batches())) offsets.push(baseOffset);
      return offsets;
    })();
    await eventually('as much as there may be', () => memory.bytes > perClient - 110 * kibibyte);
    for (let turn = 0; turn < 200; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(memory.bytes).toBeLessThan(perClient + 110 * kibibyte + slack);
    openGate();
    expect(await answers).toEqual(Array.from({ length: requests }, (_, i) => BigInt(i)));
    await eventually('all to be given back', () => memory.bytes === 0);
  });

  it('gives back what is answered while it goes on', async () => {
    const memory = new MemoryBudget(
      { ...defaultMemoryBudget, bytesPerClientMax: perClient, requestShareBytes: perClient / 2 },
      new ManualClock(),
    );
    const { number } = await open(port, memory);
    const client = new Client(number);
    for (const type of port === 'gRPC' ? ['application/grpc'] : ['application/grpc', 'application/grpc+json']) {
      const call = client.call('/golog.v1.LogService/AppendStream', type);
      const value = Buffer.alloc(40 * kibibyte);
      const message = type.endsWith('json')
        ? Buffer.from(JSON.stringify({ records: [{ value: value.toString('base64') }] }))
        : toBinary(AppendRequestSchema, create(AppendRequestSchema, { records: [{ value }] }));
      let answers = 0;
      call.stream.on('data', () => (answers += 1));
      for (let count = 1; count <= 30; count += 1) {
        call.stream.write(h2.enveloped(message));
        await eventually('an answer', () => answers >= count);
      }
      expect(call.isRefused).toBe(false);
      await eventually('nothing to be held', () => memory.bytes < 10 * kibibyte);
      call.stream.close();
    }
  });

  it('counts a compressed message for what it becomes', async () => {
    const memory = new MemoryBudget(
      { ...defaultMemoryBudget, bytesPerClientMax: perClient, requestShareBytes: perClient / 2 },
      new ManualClock(),
    );
    const { number, gate } = await open(port, memory);
    let openGate = (): void => undefined;
    gate(new Promise<void>((resolve) => (openGate = resolve)));
    const client = new Client(number);
    const value = Buffer.alloc(300 * kibibyte);
    const message = gzipSync(toBinary(AppendRequestSchema, create(AppendRequestSchema, { records: [{ value }] })));
    const begin = (): Call => {
      const call = client.call('/golog.v1.LogService/Append', 'application/grpc', { 'grpc-encoding': 'gzip' });
      call.stream.end(h2.enveloped(message, 1));
      return call;
    };
    const first = begin();
    await eventually('the first', () => memory.bytes >= 300 * kibibyte);
    const second = begin();
    await eventually('its refusal', () => second.isRefused);
    expect(first.isRefused).toBe(false);
    openGate();
    await once(first.stream, 'close');
    expect(first.said['grpc-status']).toBe('0');
    await eventually('all to be given back', () => memory.bytes === 0);
  });
});
