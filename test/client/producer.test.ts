import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import {
  ConcurrentProducerError,
  LogClient,
  OutcomeUnknownError,
  Producer,
  type ProducerOptions,
  RecordBatchBuilder,
  RpcError,
  UnreachableError,
} from '../../src/client/index.js';
import { type Behavior, FakeLogServer } from './fake-log-server.js';

const now = performance.now.bind(performance);
/** Advances the clock of the producer past its timeout for a server without progress. */
function passTime(): void {
  jest.spyOn(performance, 'now').mockImplementation(() => now() + 61_000);
}

let server: FakeLogServer;
let client: LogClient;

afterEach(() => {
  jest.restoreAllMocks();
  client.close();
  server.stop();
});

/** Batches of two records, "0a" "0b", "1a" "1b", … */
function batch(n: number) {
  const builder = new RecordBatchBuilder(1_024);
  for (const letter of 'ab') builder.add({ value: Buffer.from(`${n}${letter}`) });
  return builder.take()!;
}

function values(count: number): string[] {
  return Array.from({ length: count }, (_, n) => [`${n}a`, `${n}b`]).flat();
}

async function run(
  behaviors: Readonly<Record<number, Behavior>>,
  batches: number,
  options: ProducerOptions = {},
): Promise<number[]> {
  server = await FakeLogServer.start((request) => behaviors[request] ?? 'answer');
  client = LogClient.connect(server.address);
  const offsets: number[] = [];
  const producer = await Producer.open(client, {
    ...options,
    onAcknowledged: ({ baseOffset }) => offsets.push(baseOffset),
  });
  try {
    for (let n = 0; n < batches; n += 1) await producer.send(batch(n));
    await producer.flush();
  } finally {
    producer.close();
  }
  return offsets;
}

describe('Producer', () => {
  it('stores everything once and in order, and acknowledges in order', async () => {
    expect(await run({}, 40)).toEqual(Array.from({ length: 40 }, (_, n) => n * 2));
    expect(server.values()).toEqual(values(40));
  });

  it.each<[string, Record<number, Behavior>]>([
    ['the answer is lost', { 3: 'store and lose' }],
    ['the request is lost', { 3: 'lose' }],
    ['the first of all is lost', { 0: 'lose' }],
    ['the first answer of all is lost', { 0: 'store and lose' }],
    ['the last answer of all is lost', { 19: 'store and lose' }],
    ['it happens again and again', { 2: 'lose', 3: 'lose', 5: 'store and lose', 6: 'store and lose', 9: 'lose' }],
  ])('stores nothing twice and loses nothing when %s', async (_, behaviors) => {
    expect(await run(behaviors, 20)).toEqual(Array.from({ length: 20 }, (__, n) => n * 2));
    expect(server.values()).toEqual(values(20));
  });

  it('stores a batch with the same bytes as an earlier one as a new batch', async () => {
    server = await FakeLogServer.start((request) => (request === 1 ? 'lose' : 'answer'));
    client = LogClient.connect(server.address);
    const producer = await Producer.open(client);
    for (let n = 0; n < 3; n += 1) await producer.send(batch(7));
    await producer.flush();
    producer.close();
    expect(server.values()).toEqual(['7a', '7b', '7a', '7b', '7a', '7b']);
  });

  it('continues when another producer took the claimed offset', async () => {
    await run({ 4: 'other producer first' }, 20, { inFlightMax: 1 });
    expect(server.values().filter((value) => value !== 'other')).toEqual(values(20));
    expect(server.claims.slice(0, 5)).toEqual([0, 2, 4, 6, 8]);
    expect(server.claims.at(-1)).toBeUndefined();
  });

  it('waits until the claims of a lost stream are stale before it stops claiming', async () => {
    await run({ 4: 'other producer first' }, 20, { inFlightMax: 8 });
    expect(server.values().filter((value) => value !== 'other')).toEqual(values(20));
    const { claims } = server;
    const unclaimed = claims.indexOf(undefined);
    expect(claims.slice(5, unclaimed).every((claim, i, all) => i === 0 || claim! > all[i - 1]!)).toBe(true);
  });

  it('claims no offsets when the log is shared, and stops when an outcome is unknown', async () => {
    await expect(run({ 3: 'store and lose' }, 10, { shared: true })).rejects.toThrow(OutcomeUnknownError);
    expect(server.claims.every((claim) => claim === undefined)).toBe(true);
  });

  it('ends with the error of the server when a batch is refused, after the batches before it are stored', async () => {
    const refusal = run({ 3: 'refuse' }, 10);
    await expect(refusal).rejects.toThrow(RpcError);
    await expect(refusal).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(server.values()).toEqual(values(3));
  });

  it('gives up after too long without progress', async () => {
    server = await FakeLogServer.start((request) => {
      if (request === 2) passTime();
      return 'lose';
    });
    client = LogClient.connect(server.address);
    const producer = await Producer.open(client);
    await producer.send(batch(0));
    await expect(producer.flush()).rejects.toThrow(UnreachableError);
    await expect(producer.send(batch(1))).rejects.toThrow(UnreachableError);
  });

  it('announces once that the disk is full, backs off, and continues when there is space', async () => {
    const requestMs: number[] = [];
    server = await FakeLogServer.start((request) => {
      requestMs.push(now());
      return request < 4 ? 'refuse for space' : 'answer';
    });
    client = LogClient.connect(server.address);
    const states: string[] = [];
    const onConnection = (state: string, reason?: Error): void => void states.push(`${state} ${reason?.message}`);
    const producer = await Producer.open(client, { onConnection });
    await producer.send(batch(0));
    await producer.flush();
    producer.close();
    expect(states).toEqual(['lost disk reserve reached', 'resumed undefined']);
    // The waits are 50, 100, 200 and 400 ms; a timer of Node may fire a millisecond early.
    const waits = requestMs.slice(1).map((ms, i) => ms - requestMs[i]);
    expect(waits.map((ms, i) => ms >= 50 * 2 ** i - 2)).toEqual([true, true, true, true]);
    expect(server.values()).toEqual(values(1));
  });

  it.each([false, true])('says that nothing was appended when the disk stays full (shared: %s)', async (shared) => {
    server = await FakeLogServer.start((request) => {
      if (request === 2) passTime();
      return 'refuse for space';
    });
    client = LogClient.connect(server.address);
    const producer = await Producer.open(client, { shared });
    await producer.send(batch(0));
    await expect(producer.flush()).rejects.toMatchObject({
      name: 'RpcError',
      code: 'RESOURCE_EXHAUSTED',
      message: 'disk reserve reached; no progress for 60 s',
    });
  });

  it('does not say that nothing was appended when a batch was lost before', async () => {
    server = await FakeLogServer.start((request) => {
      if (request === 2) passTime();
      return request === 0 ? 'lose' : 'refuse for space';
    });
    client = LogClient.connect(server.address);
    const producer = await Producer.open(client);
    await producer.send(batch(0));
    await expect(producer.flush()).rejects.toThrow(UnreachableError);
  });

  it('learns the limit of the server for a batch', async () => {
    server = await FakeLogServer.start(() => 'answer');
    client = LogClient.connect(server.address);
    const limits: unknown[] = [];
    for (const batchBytesMax of [65_536, undefined]) {
      server.batchBytesMax = batchBytesMax;
      const producer = await Producer.open(client);
      limits.push(producer.batchBytesMax);
      producer.close();
    }
    expect(limits).toEqual([65_536, undefined]);
  });

  it.each([false, true])('survives a loss after a long silence (shared: %s)', async (shared) => {
    server = await FakeLogServer.start(() => 'answer');
    client = LogClient.connect(server.address);
    const states: string[] = [];
    const onConnection = (state: string): void => void states.push(state);
    const producer = await Producer.open(client, { shared, onConnection });
    await producer.send(batch(0));
    await producer.flush();
    passTime();
    server.endStreams();
    while (states.length < 2) await delay(5);
    await producer.send(batch(1));
    await producer.flush();
    producer.close();
    expect(states).toEqual(['lost', 'resumed']);
    expect(server.values()).toEqual(values(2));
  });

  it('names the server that cannot be reached', async () => {
    server = await FakeLogServer.start(() => 'answer');
    server.stop();
    client = LogClient.connect(server.address);
    await expect(Producer.open(client)).rejects.toThrow(`cannot reach ${server.address}: ECONNREFUSED`);
  });

  it('stops when a later batch was stored before an earlier one', async () => {
    server = await FakeLogServer.start((request) => (request === 1 ? 'other producer first' : 'answer'));
    client = LogClient.connect(server.address);
    const producer = await Producer.open(client, { inFlightMax: 8 });
    await producer.send(batch(0));
    await producer.flush();
    server.storeLateAfterMismatch = true;
    for (let n = 1; n < 4; n += 1) await producer.send(batch(n));
    await expect(producer.flush()).rejects.toThrow(ConcurrentProducerError);
    expect(server.values()).toEqual(['0a', '0b', 'other', 'other', '2a', '2b', '3a', '3b']);
  });
});

describe('Producer with several servers', () => {
  let twin: FakeLogServer;
  let other: LogClient;

  async function start(first: (request: number) => Behavior): Promise<void> {
    server = await FakeLogServer.start(first);
    twin = await FakeLogServer.start(() => 'answer', server);
    [client, other] = [server, twin].map(({ address }) => LogClient.connect(address));
  }
  afterEach(() => {
    other.close();
    twin.stop();
  });

  it('starts at the next server when the first does not answer', async () => {
    await start(() => 'answer');
    server.stop();
    const producer = await Producer.open([client, other]);
    await producer.send(batch(0));
    await producer.flush();
    producer.close();
    expect(twin.values()).toEqual(values(1));
  });

  it.each<Behavior>(['lose', 'store and lose'])(
    'continues at the next server, with nothing lost or duplicated, when its server fails for good (%s)',
    async (behavior) => {
      await start((request) => (request === 5 ? behavior : 'answer'));
      const producer = await Producer.open([client, other], { onConnection: () => server.stop() });
      for (let n = 0; n < 20; n += 1) await producer.send(batch(n));
      await producer.flush();
      producer.close();
      expect(twin.values()).toEqual(values(20));
      expect(twin.claims.length).toBeGreaterThan(0);
    },
  );

  it('names the servers that cannot be reached', async () => {
    await start(() => 'answer');
    server.stop();
    twin.stop();
    await expect(Producer.open([client, other])).rejects.toThrow(
      `cannot reach ${server.address}, ${twin.address}: no server answers`,
    );
  });

  it('waits at the start while there is no leader, and reports it', async () => {
    await start(() => 'answer');
    [server.leaderlessReads, twin.leaderlessReads] = [3, 2];
    const states: string[] = [];
    const onConnection = (state: string, reason?: Error): void => void states.push(`${state} ${reason?.message}`);
    const producer = await Producer.open([client, other], { onConnection });
    producer.close();
    expect(states).toEqual(['lost there is no leader now', 'resumed undefined']);
  });

  it('does not wait forever for a leader', async () => {
    await start(() => 'answer');
    server.leaderlessReads = twin.leaderlessReads = Infinity;
    const opening = Producer.open([client, other], { reconnectTimeoutMs: 200 });
    await expect(opening).rejects.toMatchObject({ code: 'UNAVAILABLE', message: 'there is no leader now' });
  });
});
