import { afterEach, describe, expect, it } from '@jest/globals';
import { consume, type Consumed, type ConsumeOptions } from '../../src/cli/records/consume.js';
import { LogClient, Producer, RecordBatchBuilder, type RpcError } from '../../src/client/index.js';
import { until } from '../adapters/grpc/fixture.js';
import { FakeLogServer, record } from './fake-log-server.js';

const servers: FakeLogServer[] = [];
const clients: LogClient[] = [];

/** Servers of one log, each of which names all of them. */
async function start(count: number, ...values: readonly string[]): Promise<FakeLogServer[]> {
  const first = await FakeLogServer.start(() => 'answer');
  const started = [first];
  while (started.length < count) started.push(await FakeLogServer.start(() => 'answer', first));
  first.records.push(...values.map(record));
  for (const server of started) server.members = started.map(({ address }) => address);
  servers.push(...started);
  return started;
}

function connect(...to: readonly FakeLogServer[]): LogClient[] {
  const connected = to.map(({ address }) => LogClient.connect(address));
  clients.push(...connected);
  return connected;
}

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
  for (const server of servers.splice(0)) server.stop();
});

interface Consumption {
  readonly values: string[];
  readonly said: string[];
  readonly consumed: Consumed;
  readonly ended: Promise<void>;
  readonly stop: AbortController;
}

function consuming(from: readonly LogClient[], options: Partial<ConsumeOptions> = {}): Consumption {
  const values: string[] = [];
  const said: string[] = [];
  const stop = new AbortController();
  const consumed: Consumed = { records: 0, nextOffset: undefined };
  const ended = consume(
    from,
    {
      from: { position: 'earliest' },
      follow: false,
      recordsMax: Infinity,
      reconnectTimeoutMs: 10_000,
      consistency: undefined,
      signal: stop.signal,
      print: async ({ batches }, recordsMax) => {
        const records = batches.flatMap((batch) => [...batch.records()]).slice(0, recordsMax);
        values.push(...records.map(({ value }) => Buffer.from(value).toString()));
        return Promise.resolve({
          recordCount: records.length,
          endOffset: records.at(-1) && records.at(-1)!.offset + 1,
        });
      },
      onConnection: (state, reason) => void said.push(`${state} ${reason?.message}`),
      onUnconfirmed: (highWatermark) => void said.push(`unconfirmed, up to ${highWatermark}`),
      onDataLoss: (address, { message }) => void said.push(`${address}: ${message}`),
      ...options,
    },
    consumed,
  );
  return { values, said, consumed, ended, stop };
}

describe('a client that is given one server', () => {
  it('goes on producing at another member when that server is lost', async () => {
    const [first, second] = await start(2);
    const producer = await Producer.open(connect(first));
    const send = async (value: string): Promise<void> => {
      const builder = new RecordBatchBuilder(1_024);
      builder.add({ value: Buffer.from(value) });
      await producer.send(builder.take()!);
      await producer.flush();
    };
    await send('a');
    await until(() => first.serversCalls === 1);
    // Its answer comes after that of GetServers.
    await send('b');
    first.stop();
    await send('c');
    producer.close();
    expect(second.values()).toEqual(['a', 'b', 'c']);
  });

  it('goes on following at another member when that server is lost', async () => {
    const [first, second] = await start(2, 'a');
    const { values, ended, stop } = consuming(connect(first), { follow: true });
    await until(() => values.length === 1 && first.tailsOpen === 1 && first.serversCalls > 0);
    // The record comes after the answer of GetServers.
    first.append('b');
    await until(() => values.length === 2);
    first.stop();
    second.append('c');
    await until(() => values.length === 3);
    stop.abort();
    await ended;
    expect(values).toEqual(['a', 'b', 'c']);
  });

  it('reads what the server has lost at another member, and says so', async () => {
    const [first] = await start(2, 'a', 'b', 'c', 'd');
    first.lostFrom = 2;
    const { values, said, ended } = consuming(connect(first));
    await ended;
    expect(values).toEqual(['a', 'b', 'c', 'd']);
    expect(said).toEqual([`${first.address}: offset 2 is lost`]);
  });

  it('starts at another member when the server has lost the first record', async () => {
    const [first] = await start(3, 'a', 'b');
    first.lostFrom = 0;
    const { values, ended } = consuming(connect(first));
    await ended;
    expect(values).toEqual(['a', 'b']);
  });

  it('ends with DATA_LOSS when no member has the record, with all records before it', async () => {
    const all = await start(3, 'a', 'b', 'c');
    for (const server of all) server.lostFrom = 1;
    const { values, ended, consumed } = consuming(connect(all[0]), { follow: true });
    await expect(ended).rejects.toMatchObject({ code: 'DATA_LOSS' } satisfies Partial<RpcError>);
    expect([values, consumed.nextOffset]).toEqual([['a'], 1]);
  });

  it('asks no other member for what the server has, with local consistency', async () => {
    const [first, second] = await start(2, 'a', 'b');
    first.lostFrom = 1;
    const { values, ended } = consuming(connect(first), { consistency: 'local' });
    await expect(ended).rejects.toMatchObject({ code: 'DATA_LOSS' });
    expect([values, first.serversCalls, second.serversCalls]).toEqual([['a'], 0, 0]);
  });
});

describe('a client whose servers have no quorum', () => {
  it('prints what is known to be committed, and says so', async () => {
    const [first, second] = await start(2, 'a', 'b');
    first.hasQuorum = second.hasQuorum = false;
    const { values, said, ended } = consuming(connect(first), { reconnectTimeoutMs: 100 });
    await ended;
    expect(values).toEqual(['a', 'b']);
    expect(said).toEqual(['lost no leader confirmed the read', 'unconfirmed, up to 2']);
  });

  it('fails when it is to print all that was acknowledged', async () => {
    const [first] = await start(1, 'a');
    first.hasQuorum = false;
    const { values, ended } = consuming(connect(first), { reconnectTimeoutMs: 100, consistency: 'linearizable' });
    await expect(ended).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(values).toEqual([]);
  });

  it('does not wait for one with local consistency', async () => {
    const [first] = await start(1, 'a');
    first.hasQuorum = false;
    const { values, said, ended } = consuming(connect(first), { consistency: 'local' });
    await ended;
    expect([values, said]).toEqual([['a'], []]);
  });
});
