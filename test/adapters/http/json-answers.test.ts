import { afterEach, describe, expect, it } from '@jest/globals';
import { create, fromBinary, toBinary, toJson } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { setImmediate as turn } from 'node:timers/promises';
import { Turns } from '../../../src/adapters/http/turns.js';
import { encodeInSlices, stringText } from '../../../src/adapters/http/json-text.js';
import { LogService, ReadResponseSchema } from '../../../src/gen/golog/v1/log_service_pb.js';
import { ConsumeResponseSchema, Log, RecordSchema, type Record } from '../../../src/gen/log/v1/log_pb.js';
import { encodePrefix } from '../../../src/domain/log/batch-prefix.js';
import { frameRecords } from '../../../src/domain/log/records.js';
import { firstAppendMs } from './fake-commit-log.js';
import { closeAll, type Harness, serve } from './harness.js';

afterEach(closeAll);

const limits = { recordBytesMax: 8 << 20, batchBytesMax: 8 << 20 };
const read = '/golog.v1.LogService/Read';

async function append({ commitLog }: Harness, records: readonly Record[]): Promise<void> {
  const encoded = records.map((record) => toBinary(RecordSchema, record));
  await commitLog.append(frameRecords(encoded, limits));
}

async function ask(baseUrl: string, path: string, request: object = {}): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return fetch(`${baseUrl}${path}`, { method: 'POST', headers, body: JSON.stringify(request) });
}

const numberOf = ({ value }: Record): number => Number(Buffer.from(value).toString());
const bytes = (...values: readonly number[]): Uint8Array => Uint8Array.from(values);

/** Every kind of field, and lengths on both sides of what is made at a time. */
const odd: readonly Record[] = [
  create(RecordSchema),
  create(RecordSchema, { value: bytes(0), key: bytes(255, 254, 253) }),
  create(RecordSchema, { headers: { '': bytes(), a: bytes(1), '\u0000"\\': bytes(2, 3), '1': bytes(4) } }),
  create(RecordSchema, { headers: { ['x😀'.repeat(30_000)]: Buffer.alloc(200_001, 7) } }),
  ...[48 * 1024 - 1, 48 * 1024, 48 * 1024 + 1, 96 * 1024 + 2].map((length) =>
    create(RecordSchema, { value: Buffer.alloc(length, 'golog') }),
  ),
];

describe('answers that are JSON', () => {
  it('are what the generated code makes of the same message', async () => {
    const harness = await serve();
    await append(harness, odd);
    await append(harness, odd.slice(0, 1));
    const appendTime = (batch: number) => timestampFromMs(firstAppendMs + batch);
    const expected = create(ReadResponseSchema, {
      batches: [
        { baseOffset: 0n, term: 3n, appendTime: appendTime(0), records: [...odd] },
        { baseOffset: BigInt(odd.length), term: 3n, appendTime: appendTime(1), records: odd.slice(0, 1) },
      ],
      logStartOffset: 0n,
      highWatermark: BigInt(odd.length + 1),
    });
    expect(await (await ask(harness.baseUrl, read)).json()).toEqual(toJson(ReadResponseSchema, expected));
    for (const [offset, record] of odd.entries()) {
      const response = await ask(harness.baseUrl, '/log.v1.Log/Consume', { offset });
      const message = create(ConsumeResponseSchema, {
        record: { ...record, offset: BigInt(offset), term: 3n, appendTime: appendTime(0) },
      });
      expect(await response.json()).toEqual(toJson(ConsumeResponseSchema, message));
    }
  });

  it('name the producer of a batch, with each part of it, in JSON and in binary', async () => {
    const harness = await serve();
    const encoded = ['a', 'b'].map((value) =>
      toBinary(RecordSchema, create(RecordSchema, { value: Buffer.from(value) })),
    );
    const given = { id: 'p"é', epoch: 0, sequence: 2 ** 53 - 1 };
    await harness.commitLog.append({ ...frameRecords(encoded, limits), prefix: encodePrefix(given) });
    const { batches } = (await (await ask(harness.baseUrl, read, { offset: 1 })).json()) as { batches: object[] };
    expect(batches).toMatchObject([
      { baseOffset: '1', records: [{ value: 'Yg==' }], producer: { id: 'p"é', sequence: '9007199254740991' } },
    ]);
    const transport = createConnectTransport({ baseUrl: harness.baseUrl, httpVersion: '1.1' });
    const answer = await createClient(LogService, transport).read({ from: { case: 'offset', value: 1n } });
    expect(answer.batches).toMatchObject([
      { baseOffset: 1n, producer: { id: 'p"é', epoch: 0n, sequence: 9007199254740991n } },
    ]);
  });

  it('have the header whose name no JSON of the generated code has', async () => {
    const harness = await serve();
    const record = Buffer.from('\x3a\x0e\x0a\x09__proto__\x12\x01x', 'latin1');
    await harness.commitLog.append(frameRecords([record], limits));
    expect(await (await ask(harness.baseUrl, read)).text()).toContain('"headers":{"__proto__":"eA=="}');
  });

  it('are of the last of two headers with one name, as the map is', async () => {
    const harness = await serve();
    const record = Buffer.from('\x3a\x06\x0a\x01a\x12\x01x\x3a\x06\x0a\x01a\x12\x01y', 'latin1');
    await harness.commitLog.append(frameRecords([record], limits));
    expect(fromBinary(RecordSchema, record).headers.a).toEqual(Buffer.from('y'));
    expect(await (await ask(harness.baseUrl, read)).text()).toContain('"headers":{"a":"eQ=="}');
  });

  it('are pages: a reader that goes on where one ends gets every record once, by Read and by Tail', async () => {
    const harness = await serve();
    const count = 20_000;
    await append(
      harness,
      Array.from({ length: count }, (_, i) => create(RecordSchema, { value: Buffer.from(String(i)) })),
    );
    const transports = [
      createConnectTransport({ baseUrl: harness.baseUrl, httpVersion: '1.1', useBinaryFormat: false }),
      createGrpcTransport({ baseUrl: harness.baseUrl, useBinaryFormat: false }),
    ];
    for (const transport of transports) {
      const client = createClient(LogService, transport);
      for (let next = 0; next < count;) {
        const { batches, highWatermark } = await client.read({ from: { case: 'offset', value: BigInt(next) } });
        expect(highWatermark).toBe(BigInt(count));
        const records = batches.flatMap((batch) => batch.records);
        expect(records.length).toBeGreaterThan(0);
        expect(records.length).toBeLessThanOrEqual(4_096);
        expect(batches[0].baseOffset).toBe(BigInt(next));
        expect(records.map(numberOf)).toEqual(records.map((_, i) => next + i));
        next += records.length;
      }
      let next = 0;
      for await (const { batches } of client.tail({})) {
        const records = batches.flatMap((batch) => batch.records);
        expect(records.length).toBeLessThanOrEqual(4_096);
        expect(records.map(numberOf)).toEqual(records.map((_, i) => next + i));
        next += records.length;
        if (next === count) break;
      }
    }
    const log = createClient(Log, transports[0]);
    expect(Buffer.from((await log.consume({ offset: 19_999n })).record?.value ?? []).toString()).toBe('19999');
  });

  it('hold no more records than asked for, also where that is more than a page', async () => {
    const harness = await serve();
    await append(
      harness,
      Array.from({ length: 5_000 }, () => create(RecordSchema)),
    );
    for (const [maxRecords, expected] of [
      [1, 1],
      [4_097, 4_096],
    ]) {
      const answer = (await (await ask(harness.baseUrl, read, { maxRecords })).json()) as {
        batches: { records: object[] }[];
      };
      expect(answer.batches.flatMap(({ records }) => records)).toHaveLength(expected);
    }
  });

  it('give way to other work while they are made', async () => {
    const steps = { made: 0 };
    function* text(): Generator<string, void, void> {
      for (yield '['; steps.made < 200; steps.made += 1) {
        // A fifth of a second in all.
        for (const end = performance.now() + 1; performance.now() < end;);
        yield '';
      }
      yield ']';
    }
    const whole = encodeInSlices(text());
    let longest = 0;
    for (let before = 0; steps.made < 200; before = steps.made) {
      await turn();
      longest = Math.max(longest, steps.made - before);
    }
    expect((await whole).toString()).toBe('[]');
    // Between two turns, slices are made of sixteen pieces at a time.
    expect(longest).toBeLessThanOrEqual(32);
    expect(JSON.parse((await encodeInSlices(stringText('a😀'.repeat(50_000)))).toString())).toBe('a😀'.repeat(50_000));
  });
});

describe('turns', () => {
  it('go round by client, so that one with little work does not wait for all work of another', async () => {
    const turns = new Turns();
    const order: string[] = [];
    const work = (client: string, name: string): Promise<void> =>
      turns.run(client, new AbortController().signal, async (begin) => {
        await begin();
        await turn();
        order.push(name);
      });
    const busy = Array.from({ length: 20 }, (_, i) => work('busy', `busy ${i}`));
    await Promise.all([...busy, work('modest', 'modest')]);
    expect(order.indexOf('modest')).toBeLessThan(8);
    expect(order.filter((name) => name !== 'modest')).toEqual(busy.map((_, i) => `busy ${i}`));
  });

  it('pass those by that have left, and end with work that fails', async () => {
    const turns = new Turns();
    const { signal } = new AbortController();
    const left = new AbortController();
    let finish = (): void => undefined;
    const held = new Promise<void>((resolve) => (finish = resolve));
    const first = Array.from({ length: 3 }, () =>
      turns.run('a', signal, async (begin) => {
        await begin();
        await held;
        throw new Error('failed');
      }),
    );
    const settled = Promise.allSettled(first);
    const gone = turns.run('b', left.signal, (begin) => begin());
    const last = turns.run('b', signal, (begin) => begin());
    left.abort(new Error('left'));
    await expect(gone).rejects.toThrow('left');
    finish();
    await last;
    expect((await settled).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    // As many may work at once as before.
    await Promise.all(Array.from({ length: 3 }, () => turns.run('c', signal, (begin) => begin())));
  });
});
