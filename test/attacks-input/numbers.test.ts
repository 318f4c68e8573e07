import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { LogClient } from '../../src/client/index.js';
import { LogService } from '../../src/gen/golog/v1/log_service_pb.js';
import { Log } from '../../src/gen/log/v1/log_pb.js';
import { SecureNode } from '../security/secure-node.js';

const beyond = [2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n];
const recordsMax = 2 ** 32 - 1;
const count = 5;

let node: SecureNode;
beforeAll(async () => {
  node = await SecureNode.start();
  const log = createClient(Log, createGrpcTransport({ baseUrl: `http://${node.rpcAddr}` }));
  for (let n = 0; n < count; n++) await log.produce({ record: { value: Buffer.from(String(n)) } });
});
afterAll(async () => {
  expect(node.fatal).toBeUndefined();
  await node.stop();
});

const transports: [string, (node: SecureNode) => Transport][] = [
  ['gRPC at the gRPC port', ({ rpcAddr }) => createGrpcTransport({ baseUrl: `http://${rpcAddr}` })],
  ['gRPC at the HTTP port', ({ httpAddr }) => createGrpcTransport({ baseUrl: `http://${httpAddr}` })],
  ['gRPC-Web', ({ httpAddr }) => createGrpcWebTransport({ baseUrl: `http://${httpAddr}`, httpVersion: '1.1' })],
  [
    'Connect, binary',
    ({ httpAddr }) =>
      createConnectTransport({ baseUrl: `http://${httpAddr}`, httpVersion: '1.1', useBinaryFormat: true }),
  ],
  ['Connect, JSON', ({ httpAddr }) => createConnectTransport({ baseUrl: `http://${httpAddr}`, httpVersion: '2' })],
  [
    'Connect, GET',
    ({ httpAddr }) => createConnectTransport({ baseUrl: `http://${httpAddr}`, httpVersion: '1.1', useHttpGet: true }),
  ],
];

const failureOf = async (call: Promise<unknown>): Promise<ConnectError> =>
  ConnectError.from(
    await call.then(
      () => new Error('it succeeded'),
      (error: unknown) => error,
    ),
  );

const range = `offsets from 0 up to but not including ${count}`;

describe.each(transports)('numbers at the edges by %s', (_, transportTo) => {
  const clients = () => {
    const transport = transportTo(node);
    return { log: createClient(Log, transport), service: createClient(LogService, transport) };
  };
  async function firstOf<T>(stream: AsyncIterable<T>): Promise<T | undefined> {
    for await (const each of stream) return each;
    return undefined;
  }

  it.each([BigInt(count), ...beyond])('offset %s is out of range, exactly', async (offset) => {
    const { log, service } = clients();
    const said = new RegExp(`offset ${offset} is out of range: the log has ${range}$`);
    const from = { case: 'offset', value: offset } as const;
    const calls = [
      () => log.consume({ offset }),
      // At the end of the log a read is empty, and a follow waits.
      ...(offset === BigInt(count)
        ? []
        : [
            () => service.read({ from }),
            () => firstOf(log.consumeStream({ offset })),
            () => firstOf(service.tail({ from })),
          ]),
    ];
    for (const call of calls) {
      const { code, rawMessage } = await failureOf(call());
      expect([code, rawMessage]).toEqual([Code.OutOfRange, expect.stringMatching(said)]);
    }
  });

  it.each(beyond)('expected offset %s and last %s are exact', async (edge) => {
    const { service } = clients();
    const records = [{ value: new Uint8Array(1) }];
    const { code, rawMessage } = await failureOf(service.append({ records, expectedOffset: edge }));
    const said = `expected offset ${edge}, but the next offset is ${count}; nothing was appended`;
    expect([code, rawMessage]).toEqual([Code.FailedPrecondition, expect.stringContaining(said)]);
    const { batches } = await service.read({ from: { case: 'last', value: edge } });
    expect(batches[0]?.baseOffset).toBe(0n);
    const late = failureOf(service.read({ notBeforeOffset: edge }, { timeoutMs: 300 }));
    expect([Code.OutOfRange, Code.DeadlineExceeded, Code.FailedPrecondition]).toContain((await late).code);
  });

  it('the limits 0 and 2^32 - 1 are the own limits of the server', async () => {
    const { service } = clients();
    for (const limit of [0, recordsMax]) {
      const { batches, highWatermark } = await service.read({ maxRecords: limit, maxBytes: limit });
      expect(highWatermark).toBe(BigInt(count));
      expect(batches.flatMap((batch) => batch.records)).toHaveLength(count);
    }
    const { batches } = await service.read({ maxRecords: 1, maxBytes: 1 });
    expect(batches.flatMap((batch) => batch.records)).toHaveLength(1);
    for (const last of [0n, 1n]) {
      const read = await service.read({ from: { case: 'last', value: last } });
      expect(read.batches.flatMap((batch) => batch.records)).toHaveLength(Number(last));
    }
  });

  it.each([
    ['nanoseconds below 0', { seconds: 1n, nanos: -1 }],
    ['a second of 2^31 - 1 nanoseconds', { seconds: 1n, nanos: 2 ** 31 - 1 }],
    ['2^63 - 1 seconds', { seconds: 2n ** 63n - 1n, nanos: 0 }],
    ['-2^63 seconds', { seconds: -(2n ** 63n), nanos: 0 }],
  ])('a time of %s is none', async (_name, value) => {
    const { service } = clients();
    const { code } = await failureOf(service.read({ from: { case: 'since', value } }));
    // JSON cannot even carry it: then it fails in the client.
    expect([Code.InvalidArgument, Code.Internal]).toContain(code);
  });
});

describe('numbers at the edges by the JSON routes', () => {
  const ask = async (
    query: string,
    body?: string,
    path = '/',
  ): Promise<[number, { detail?: string; code?: string }]> => {
    const url = `http://${node.httpAddr}${path}${query}`;
    const request = body === undefined ? {} : { method: 'POST', body, headers: { 'content-type': 'application/json' } };
    const answer = await fetch(url, { ...request, signal: AbortSignal.timeout(10_000) });
    return [answer.status, (await answer.json()) as { detail?: string; code?: string }];
  };

  it.each([String(count), ...beyond.map(String)])('offset %s is out of range, exactly', async (offset) => {
    const [status, { detail }] = await ask(`?offset=${offset}`);
    expect([status, detail]).toEqual([404, expect.stringContaining(`offset ${offset} is out of range`)]);
  });

  it.each([
    '-1',
    '-0',
    '1e3',
    '0x1',
    '1.5',
    '+1',
    ' 1',
    '18446744073709551616',
    '9'.repeat(300),
    '',
    'NaN',
    '%00',
    '１',
  ])('offset %j is none', async (offset) => {
    const [status, { detail }] = await ask(`?offset=${encodeURIComponent(offset)}`);
    expect([status, detail]).toEqual([400, expect.stringContaining('Expected an offset')]);
  });

  it.each(['9007199254740992', '9007199254740993', '9223372036854775808', '18446744073709551615', '1e300', '-1'])(
    'the number %s is not rounded in a JSON body of Connect',
    async (number) => {
      const [status, { code }] = await ask('', `{"offset": ${number}}`, '/log.v1.Log/Consume');
      expect([status, code]).toEqual([400, 'invalid_argument']);
      const [asText, { code: textCode }] = await ask('', `{"offset": "${number}"}`, '/log.v1.Log/Consume');
      const isOffset = /^\d+$/.test(number);
      expect([asText, textCode]).toEqual([400, isOffset ? 'out_of_range' : 'invalid_argument']);
    },
  );
});

it('a client refuses numbers that are not exact before it sends them', async () => {
  const client = LogClient.connect(node.rpcAddr);
  for (const offset of [-1, 1.5, 2 ** 53, Number.NaN]) {
    await expect((async () => client.read({ from: { offset } }))()).rejects.toThrow();
  }
  client.close();
});
