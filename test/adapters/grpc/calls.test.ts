import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { status } from '@grpc/grpc-js';
import { toOffset } from '../../../src/domain/log/offsets.js';
import {
  AppendRequestSchema,
  Consistency,
  LogService,
  Position,
  ReadRequestSchema,
} from '../../../src/gen/golog/v1/log_service_pb.js';
import { Log, RecordSchema } from '../../../src/gen/log/v1/log_pb.js';
import { appendTimeMs } from './fake-commit-log.js';
import type { Fixture } from './fixture.js';
import { start, until } from './fixture.js';
import { errorOf } from './grpc-client.js';

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));

let fixture: Fixture;
beforeEach(async () => {
  fixture = await start();
});
afterEach(() => fixture.close());

/** Appends batches of records with the values v0, v1, …, across the batches. */
async function fill(...counts: number[]): Promise<void> {
  let n = 0;
  for (const count of counts) {
    const records = Array.from({ length: count }, () => ({ value: bytes(`v${n++}`) }));
    await fixture.client.unary(LogService.method.append, { records });
  }
}

describe('log.v1.Log', () => {
  it('Produce answers with the record’s offset, Consume with the record and the server’s fields', async () => {
    const { client } = fixture;
    const headers = { source: bytes('test'), '': bytes('') };
    expect((await client.unary(Log.method.produce, { record: { value: bytes('a') } })).offset).toBe(0n);
    const record = { value: bytes('b'), key: bytes('k'), headers };
    expect((await client.unary(Log.method.produce, { record })).offset).toBe(1n);
    const answer = await client.unary(Log.method.consume, { offset: 1n });
    const appendTime = timestampFromMs(appendTimeMs);
    expect(answer.record).toEqual(create(RecordSchema, { ...record, offset: 1n, term: 3n, appendTime }));
  });

  it('Produce ignores what the producer puts into the server’s fields', async () => {
    const { client } = fixture;
    const record = { value: bytes('a'), offset: 77n, term: 88n, type: 9, appendTime: timestampFromMs(1) };
    await client.unary(Log.method.produce, { record });
    const { record: stored } = await client.unary(Log.method.consume, { offset: 0n });
    expect(stored).toMatchObject({ value: bytes('a'), offset: 0n, term: 3n, type: 0 });
    expect(stored?.appendTime).toEqual(timestampFromMs(appendTimeMs));
  });

  it('Produce takes an empty record', async () => {
    await fixture.client.unary(Log.method.produce, { record: {} });
    const { record } = await fixture.client.unary(Log.method.consume, { offset: 0n });
    expect(record?.value).toEqual(new Uint8Array());
  });

  it('Produce merges a record field that comes twice, as protobuf says', async () => {
    const once = (record: { value?: Uint8Array; key?: Uint8Array }): Buffer => {
      const encoded = toBinary(RecordSchema, create(RecordSchema, record));
      return Buffer.concat([Buffer.from([0x0a, encoded.byteLength]), encoded]);
    };
    const request = Buffer.concat([once({ value: bytes('first'), key: bytes('k') }), once({ value: bytes('last') })]);
    expect((await fixture.client.unary(Log.method.produce, request)).offset).toBe(0n);
    const { record } = await fixture.client.unary(Log.method.consume, { offset: 0n });
    expect(record).toMatchObject({ value: bytes('last'), key: bytes('k') });
    expect(fixture.log.highWatermark).toBe(1);
  });

  it('Produce answers in the middle of a full connection', async () => {
    const { client, log } = fixture;
    const answers = await Promise.all(
      Array.from({ length: 300 }, () => client.unary(Log.method.produce, { record: { value: bytes('x') } })),
    );
    expect(answers.map(({ offset }) => Number(offset)).sort((a, b) => a - b)).toEqual([...answers.keys()]);
    expect(log.highWatermark).toBe(300);
  });

  it('Consume finds the record in the middle of a batch', async () => {
    await fill(3, 5);
    const { record } = await fixture.client.unary(Log.method.consume, { offset: 6n });
    expect(record).toMatchObject({ value: bytes('v6'), offset: 6n });
  });

  it('GetServers lists the members', async () => {
    const { servers } = await fixture.client.unary(Log.method.getServers, {});
    expect(servers).toMatchObject([
      { id: 'node-a', rpcAddr: '127.0.0.1:8400', isLeader: true },
      { id: 'node-b', rpcAddr: '127.0.0.1:8410', isLeader: false },
    ]);
  });
});

describe('golog.v1.LogService', () => {
  it('Append answers with base offset, count and receipt', async () => {
    await fill(2);
    const records = [{ value: bytes('a') }, {}, { key: bytes('k') }];
    const answer = await fixture.client.unary(LogService.method.append, { records, expectedOffset: 2n });
    expect(answer).toMatchObject({ baseOffset: 2n, recordCount: 3 });
    expect(answer.receipt).toMatchObject({ term: 3n, index: 2n, syncedOn: ['node-a', 'node-b'] });
  });

  it('Append takes 10,000 empty records', async () => {
    const records = Array.from({ length: 10_000 }, () => ({}));
    expect((await fixture.client.unary(LogService.method.append, { records })).recordCount).toBe(10_000);
  });

  it('Read answers with batches cut to the offset and the limits', async () => {
    await fill(3, 5, 2);
    const answer = await fixture.client.unary(LogService.method.read, {
      from: { case: 'offset', value: 1n },
      maxRecords: 4,
    });
    expect(answer).toMatchObject({ logStartOffset: 0n, highWatermark: 10n });
    expect(answer.batches.map(({ baseOffset, records }) => [baseOffset, records.length])).toEqual([
      [1n, 2],
      [3n, 2],
    ]);
    expect(answer.batches[1]?.records[1]?.value).toEqual(bytes('v4'));
  });

  it('Read at the high watermark answers with no batches', async () => {
    await fill(3);
    const answer = await fixture.client.unary(LogService.method.read, { from: { case: 'offset', value: 3n } });
    expect(answer).toMatchObject({ batches: [], highWatermark: 3n });
  });

  const places = [
    { name: 'nothing said', from: { case: undefined }, expected: 'earliest' },
    { name: 'EARLIEST', from: { case: 'position', value: Position.EARLIEST }, expected: 'earliest' },
    { name: 'LATEST', from: { case: 'position', value: Position.LATEST }, expected: 'latest' },
    { name: 'last', from: { case: 'last', value: 7n }, expected: { last: 7 } },
    {
      name: 'more than there can be',
      from: { case: 'last', value: 2n ** 64n - 1n },
      expected: { last: Number.MAX_SAFE_INTEGER },
    },
    {
      name: 'since, rounded up to the millisecond',
      from: { case: 'since', value: { seconds: 1n, nanos: 1 } },
      expected: { since: 1001 },
    },
    {
      name: 'since before there were records',
      from: { case: 'since', value: { seconds: -5n, nanos: 0 } },
      expected: { since: 0 },
    },
  ] as const;
  it.each(places)('Read from: $name', async ({ from, expected }) => {
    await fixture.client.unary(LogService.method.read, { from });
    expect(fixture.log.lastRead?.from).toEqual(expected);
  });

  it('Read hands on consistency and limits, and caps what one response may hold', async () => {
    const consistency = Consistency.LINEARIZABLE;
    await fixture.client.unary(LogService.method.read, { maxRecords: 5, maxBytes: 2 ** 32 - 1, consistency });
    expect(fixture.log.lastRead?.options).toMatchObject({
      maxRecords: 5,
      maxBytes: 2 * 1024 * 1024,
      linearizable: true,
    });
  });

  it('Read waits for not_before_offset, and a deadline ends the wait', async () => {
    const request = { notBeforeOffset: 0n };
    const waiting = fixture.client.unary(LogService.method.read, request);
    await until(() => fixture.log.lastRead !== undefined);
    await fill(1);
    expect((await waiting).highWatermark).toBe(1n);
    const answered = fixture.log.lastRead;
    // A deadline that passes before the call is sent is none that the server could see.
    while (fixture.log.lastRead === answered) {
      const late = fixture.client.unary(
        LogService.method.read,
        { notBeforeOffset: 9n },
        { deadline: Date.now() + 100 },
      );
      expect((await errorOf(late)).code).toBe(status.DEADLINE_EXCEEDED);
    }
    await until(() => fixture.log.lastRead?.options.signal.aborted === true);
  });

  it('GetLogInfo describes the log', async () => {
    await fill(2);
    expect(await fixture.client.unary(LogService.method.getLogInfo, {})).toMatchObject({
      logStartOffset: 0n,
      highWatermark: 2n,
      logEndOffset: 2n,
      bytes: 4096n,
      segments: 2,
    });
  });
});

describe('bad input gets INVALID_ARGUMENT that says what is wrong, and the server serves on', () => {
  afterEach(async () => {
    expect((await fixture.client.unary(Log.method.produce, { record: {} })).offset).toBe(0n);
  });

  it('no record', async () => {
    const error = await errorOf(fixture.client.unary(Log.method.produce, {}));
    expect(error).toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(error.details).toContain('no record');
  });

  it('an empty batch', async () => {
    const error = await errorOf(fixture.client.unary(LogService.method.append, {}));
    expect(error).toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  it.each([
    ['a truncated record', LogService.method.append, '0a05'],
    ['a truncated varint', Log.method.consume, '08ff'],
    ['a wrong wire type', LogService.method.append, '0d00000000'],
    ['a group that does not end', LogService.method.read, '4b'],
  ])('%s', async (_, method, hex) => {
    const error = await errorOf(fixture.client.raw(method, Buffer.from(hex, 'hex')));
    expect(error.code).toBe(status.INVALID_ARGUMENT);
  });

  it('a record over the limit: the limit and the size', async () => {
    const value = new Uint8Array(1024 * 1024 + 10);
    const error = await errorOf(fixture.client.unary(Log.method.produce, { record: { value } }));
    expect(error.code).toBe(status.INVALID_ARGUMENT);
    expect(error.metadata.get('golog-limit')).toEqual([String(1024 * 1024)]);
    expect(Number(error.metadata.get('golog-size')[0])).toBeGreaterThan(value.byteLength);
  });

  it('a batch over the limit: the limit and the size', async () => {
    const records = Array.from({ length: 11 }, () => ({ value: new Uint8Array(96 * 1024) }));
    const error = await errorOf(fixture.client.unary(LogService.method.append, { records }));
    expect(error.code).toBe(status.INVALID_ARGUMENT);
    expect(error.details).toContain(`the limit is ${1024 * 1024} bytes`);
  });

  it('a message far over the limit is not even read', async () => {
    const record = { value: new Uint8Array(5 * 1024 * 1024) };
    const error = await errorOf(fixture.client.unary(Log.method.produce, { record }));
    expect(error.code).toBe(status.RESOURCE_EXHAUSTED);
  });

  it.each([
    ['an unknown position', { from: { case: 'position', value: 9 as Position } }, 'position 9'],
    ['an unknown consistency', { consistency: 7 as Consistency }, 'consistency 7'],
    ['nanoseconds below 0', { from: { case: 'since', value: { seconds: 1n, nanos: -1 } } }, 'timestamp'],
    ['a year beyond 9999', { from: { case: 'since', value: { seconds: 2n ** 62n, nanos: 0 } } }, 'timestamp'],
  ] as const)('%s', async (_, request, says) => {
    const error = await errorOf(fixture.client.unary(LogService.method.read, create(ReadRequestSchema, request)));
    expect(error.code).toBe(status.INVALID_ARGUMENT);
    expect(error.details).toContain(says);
  });
});

describe('offsets are exact at the edges of uint64', () => {
  const edges = [2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n];

  it.each(edges)('Consume %d', async (offset) => {
    const error = await errorOf(fixture.client.unary(Log.method.consume, { offset }));
    expect(error.code).toBe(status.OUT_OF_RANGE);
    expect(error.details).toContain(`offset ${offset} is out of range`);
    expect(error.metadata.get('golog-offset')).toEqual([String(offset)]);
  });

  it('-1 as a client without unsigned numbers encodes it', async () => {
    const request = Buffer.from('08ffffffffffffffffff01', 'hex');
    const error = await errorOf(fixture.client.unary(Log.method.consume, request));
    expect(error.metadata.get('golog-offset')).toEqual(['18446744073709551615']);
  });

  it.each(edges)('Read from and not before %d', async (offset) => {
    const from = { case: 'offset', value: offset } as const;
    const error = await errorOf(fixture.client.unary(LogService.method.read, { from }));
    expect(error.metadata.get('golog-offset')).toEqual([String(offset)]);
  });

  it('not_before_offset beyond all offsets is refused, not waited for', async () => {
    const error = await errorOf(fixture.client.unary(LogService.method.read, { notBeforeOffset: 2n ** 53n }));
    expect(error.metadata.get('golog-offset')).toEqual([String(2n ** 53n)]);
  });

  it.each(edges)('expected_offset %d', async (expectedOffset) => {
    const request = Buffer.from(
      toBinary(AppendRequestSchema, create(AppendRequestSchema, { records: [{}], expectedOffset })),
    );
    expect(fromBinary(AppendRequestSchema, request).expectedOffset).toBe(expectedOffset);
    const error = await errorOf(fixture.client.unary(LogService.method.append, request));
    expect(error.code).toBe(status.FAILED_PRECONDITION);
    expect(error.metadata.get('golog-expected')).toEqual([String(expectedOffset)]);
    expect(error.metadata.get('golog-actual')).toEqual(['0']);
    expect(fixture.log.highWatermark).toBe(toOffset(0));
  });
});
