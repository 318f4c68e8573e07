import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { status } from '@grpc/grpc-js';
import { CorruptRangeError } from '../../../src/domain/log/errors.js';
import { toIndex, toOffset, toTerm } from '../../../src/domain/log/offsets.js';
import { BatchKind } from '../../../src/domain/log/record-batch.js';
import { defaultRecordLimits, frameRecords } from '../../../src/domain/log/records.js';
import { LogService } from '../../../src/gen/golog/v1/log_service_pb.js';
import { Log } from '../../../src/gen/log/v1/log_pb.js';
import type { FakeCommitLog } from './fake-commit-log.js';
import { appendTimeMs } from './fake-commit-log.js';
import type { Fixture } from './fixture.js';
import { start, until } from './fixture.js';
import { collect } from './grpc-client.js';

let fixture: Fixture;
beforeEach(async () => {
  fixture = await start();
});
afterEach(() => fixture.close());

/** Batches that share one payload, so that the log itself costs nothing. */
function fill(log: FakeCommitLog, batches: number, recordsABatch: number, recordBytes: number): void {
  const record = Buffer.concat([Buffer.from('0a', 'hex'), lengthOf(recordBytes), Buffer.alloc(recordBytes, 'x')]);
  const { payload } = frameRecords(Array<Buffer>(recordsABatch).fill(record), defaultRecordLimits);
  for (let n = 0; n < batches; n++) {
    log.batches.push({
      kind: BatchKind.records,
      index: toIndex(log.batches.length + 1),
      term: toTerm(1),
      baseOffset: log.highWatermark,
      recordCount: recordsABatch,
      appendTimeMs,
      header: new Uint8Array(),
      payload,
    });
    log.highWatermark = toOffset(log.highWatermark + recordsABatch);
  }
}

function lengthOf(bytes: number): Buffer {
  const parts: number[] = [];
  for (; bytes >= 0x80; bytes >>= 7) parts.push((bytes & 0x7f) | 0x80);
  return Buffer.from([...parts, bytes]);
}

const produce = (): Promise<unknown> => fixture.client.unary(Log.method.produce, { record: {} });

describe('ConsumeStream', () => {
  it('sends every record from the offset on, one a message, then follows', async () => {
    fill(fixture.log, 3, 4, 10);
    const stream = fixture.client.serverStream(Log.method.consumeStream, { offset: 2n });
    const { messages, count } = collect(stream);
    await count(10);
    await produce();
    await produce();
    await count(12);
    expect(messages.map(({ record }) => record?.offset)).toEqual(Array.from({ length: 12 }, (_, n) => BigInt(n + 2)));
    stream.cancel();
  });

  it('sends 50,000 records in order', async () => {
    fill(fixture.log, 50, 1000, 20);
    const stream = fixture.client.serverStream(Log.method.consumeStream, {});
    const { messages, count } = collect(stream);
    await count(50_000);
    expect(messages.every(({ record }, place) => record?.offset === BigInt(place))).toBe(true);
    stream.cancel();
  });

  it('waits at the high watermark, and refuses what lies beyond', async () => {
    fill(fixture.log, 1, 3, 10);
    const stream = fixture.client.serverStream(Log.method.consumeStream, { offset: 3n });
    const { messages, count } = collect(stream);
    await until(() => fixture.log.following === 1);
    await produce();
    await count(1);
    expect(messages[0]?.record?.offset).toBe(3n);
    stream.cancel();
    const beyond = await collect(fixture.client.serverStream(Log.method.consumeStream, { offset: 9n })).ended;
    expect(beyond?.code).toBe(status.OUT_OF_RANGE);
    const huge = await collect(fixture.client.serverStream(Log.method.consumeStream, { offset: 2n ** 64n - 1n })).ended;
    expect(huge?.metadata.get('golog-offset')).toEqual(['18446744073709551615']);
  });

  it('regression: ConsumeStream busy-spinning at the tail', async () => {
    const { log, client } = fixture;
    const stream = client.serverStream(Log.method.consumeStream, {});
    const { count } = collect(stream);
    await until(() => log.following === 1);
    const polls = log.polls;
    for (let turn = 0; turn < 1_000; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(log.polls).toBe(polls);
    await produce();
    await count(1);
    expect(log.polls - polls).toBeLessThanOrEqual(2);
    stream.cancel();
  });
});

describe('Tail', () => {
  it('sends runs of batches, then follows', async () => {
    fill(fixture.log, 2, 4, 10);
    const stream = fixture.client.serverStream(LogService.method.tail, { from: { case: 'offset', value: 5n } });
    const { messages, count } = collect(stream);
    await count(1);
    expect(messages[0]).toMatchObject({ highWatermark: 8n, batches: [{ baseOffset: 5n }] });
    expect(messages[0]?.batches[0]?.records).toHaveLength(3);
    await produce();
    await count(2);
    expect(messages[1]).toMatchObject({ highWatermark: 9n, batches: [{ baseOffset: 8n }] });
    stream.cancel();
  });

  it('sends its headers at once, before there is anything to send', async () => {
    const stream = fixture.client.serverStream(LogService.method.tail, {});
    collect(stream);
    await new Promise((resolve) => stream.once('metadata', resolve));
    stream.cancel();
  });

  it('ends DEADLINE_EXCEEDED at its deadline, and nothing of it stays', async () => {
    // A deadline that passes before the call is sent is none that the server could see.
    while (fixture.log.lastRead === undefined) {
      const deadline = Date.now() + 100;
      const { ended } = collect(fixture.client.serverStream(LogService.method.tail, {}, { deadline }));
      expect((await ended)?.code).toBe(status.DEADLINE_EXCEEDED);
    }
    await until(() => fixture.log.following === 0);
    expect(fixture.log.lastRead?.options.signal.reason).toBeInstanceOf(DOMException);
  });

  it('is told of a cancellation while it waits', async () => {
    const stream = fixture.client.serverStream(LogService.method.tail, {});
    collect(stream);
    await until(() => fixture.log.following === 1);
    stream.cancel();
    await until(() => fixture.log.following === 0);
  });

  it('is told of a cancellation while the reader is behind', async () => {
    fill(fixture.log, 100, 1, 500_000);
    const stream = fixture.client.serverStream(LogService.method.tail, {});
    stream.on('error', () => {});
    await until(() => fixture.log.runsYielded > 0);
    stream.cancel();
    await until(() => fixture.log.following === 0);
  });

  it('is told of a lost connection', async () => {
    collect(fixture.client.serverStream(LogService.method.tail, {}));
    await until(() => fixture.log.following === 1);
    fixture.client.close();
    await fixture.close();
    expect(fixture.log.following).toBe(0);
  });

  it('ends with the error that the log meets on the way', async () => {
    fill(fixture.log, 1, 1, 10);
    const { messages, count, ended } = collect(fixture.client.serverStream(LogService.method.tail, {}));
    await count(1);
    fixture.log.failures.push(new CorruptRangeError(toOffset(1), toOffset(2), 'bad checksum'));
    fixture.log.wake();
    expect((await ended)?.code).toBe(status.DATA_LOSS);
    expect(messages).toHaveLength(1);
  });

  it.each([
    ['Tail', LogService.method.tail],
    ['ConsumeStream', Log.method.consumeStream],
  ] as const)('%s: a slow reader does not make the server read ahead', async (_, method) => {
    // 200 MB in runs of 500 kB; the reader takes nothing yet.
    fill(fixture.log, 400, 5, 100_000);
    const stream =
      method === LogService.method.tail
        ? fixture.client.serverStream(LogService.method.tail, { maxBytes: 1 })
        : fixture.client.serverStream(Log.method.consumeStream, {});
    stream.on('error', () => {});
    await until(() => fixture.log.runsYielded > 0);
    for (let turn = 0; turn < 300; turn++) await new Promise((resolve) => setImmediate(resolve));
    // grpc-js's client takes up to 16 messages ahead of its own reader.
    expect(fixture.log.runsYielded).toBeLessThan(24);
    const { count, messages } = collect<unknown>(stream);
    await count(method === LogService.method.tail ? 400 : 2000);
    expect(messages).toHaveLength(method === LogService.method.tail ? 400 : 2000);
    stream.cancel();
  });
});
