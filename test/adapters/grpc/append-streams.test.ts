import { once } from 'node:events';
import { connect } from 'node:http2';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { status } from '@grpc/grpc-js';
import { UnavailableError } from '../../../src/application/errors.js';
import { LogService } from '../../../src/gen/golog/v1/log_service_pb.js';
import { Log } from '../../../src/gen/log/v1/log_pb.js';
import type { Fixture } from './fixture.js';
import { start, until } from './fixture.js';
import { collect } from './grpc-client.js';

let fixture: Fixture;
let openGate: () => void;

beforeEach(async () => {
  fixture = await start();
});
afterEach(async () => {
  openGate?.();
  await fixture.close();
});

/** Holds appends back until `openGate`. */
function shutGate(): void {
  fixture.log.gate = new Promise((resolve) => {
    openGate = resolve;
  });
}

const offsets = (n: number): bigint[] => Array.from({ length: n }, (_, place) => BigInt(place));

describe('ProduceStream', () => {
  it('answers each record with its offset, in order, and ends OK after the half-close', async () => {
    const stream = fixture.client.bidi(Log.method.produceStream);
    const { messages, ended } = collect(stream);
    for (let n = 0; n < 2_000; n++) stream.write({ record: { value: Uint8Array.of(n & 0xff) } });
    stream.end();
    expect(await ended).toBeUndefined();
    expect(messages.map(({ offset }) => offset)).toEqual(offsets(2_000));
  });

  it('ends OK when nothing was sent', async () => {
    const stream = fixture.client.bidi(Log.method.produceStream);
    const { messages, ended } = collect(stream);
    stream.end();
    expect(await ended).toBeUndefined();
    expect(messages).toEqual([]);
  });
});

describe('AppendStream', () => {
  it('answers each batch with its receipt, in order', async () => {
    const stream = fixture.client.bidi(LogService.method.appendStream);
    const { messages, ended } = collect(stream);
    stream.write({ records: [{}, {}] });
    stream.write({ records: [{}, {}, {}], expectedOffset: 2n });
    stream.end();
    expect(await ended).toBeUndefined();
    expect(messages).toMatchObject([
      { baseOffset: 0n, recordCount: 2, receipt: { index: 1n } },
      { baseOffset: 2n, recordCount: 3, receipt: { index: 2n } },
    ]);
  });

  it('is pipelined: later batches are begun before the first is answered, within a bound', async () => {
    shutGate();
    const stream = fixture.client.bidi(LogService.method.appendStream);
    const { messages, ended } = collect(stream);
    for (let n = 0; n < 1_000; n++) stream.write({ records: [{}] });
    stream.end();
    await until(() => fixture.log.inFlight >= 256);
    for (let turn = 0; turn < 300; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(fixture.log.inFlight).toBe(256);
    expect(messages).toEqual([]);
    openGate();
    expect(await ended).toBeUndefined();
    expect(messages.map(({ baseOffset }) => baseOffset)).toEqual(offsets(1_000));
  });

  it('bounds the bytes in flight as well', async () => {
    shutGate();
    const stream = fixture.client.bidi(LogService.method.appendStream);
    const { messages, ended } = collect(stream);
    const records = [{ value: new Uint8Array(1_000_000) }];
    for (let n = 0; n < 20; n++) stream.write({ records });
    stream.end();
    await until(() => fixture.log.inFlight >= 5);
    for (let turn = 0; turn < 300; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(fixture.log.inFlight).toBe(5);
    openGate();
    expect(await ended).toBeUndefined();
    expect(messages).toHaveLength(20);
  });

  it('finishes what is outstanding after the half-close', async () => {
    shutGate();
    const stream = fixture.client.bidi(LogService.method.appendStream);
    const { messages, ended } = collect(stream);
    for (let n = 0; n < 16; n++) stream.write({ records: [{}] });
    stream.end();
    await until(() => fixture.log.inFlight === 16);
    openGate();
    expect(await ended).toBeUndefined();
    expect(messages).toHaveLength(16);
  });

  it('a failing append ends the stream with its error, after the answers to the earlier ones', async () => {
    const stream = fixture.client.bidi(LogService.method.appendStream);
    const { messages, ended } = collect(stream);
    stream.write({ records: [{}] });
    stream.write({ records: [{}] });
    stream.write({ records: [{}], expectedOffset: 77n });
    for (let n = 0; n < 50; n++) stream.write({ records: [{}], expectedOffset: 77n });
    const error = await ended;
    expect(error?.code).toBe(status.FAILED_PRECONDITION);
    expect(error?.metadata.get('golog-expected')).toEqual(['77']);
    expect(messages.map(({ baseOffset }) => baseOffset)).toEqual([0n, 1n]);
    expect(fixture.log.highWatermark).toBe(2);
  });

  it('a batch that is refused at once waits for its turn, and nothing after it is begun', async () => {
    shutGate();
    const stream = fixture.client.bidi(LogService.method.appendStream);
    const { messages, ended } = collect(stream);
    stream.write({ records: [{}] });
    stream.write({ records: [] });
    stream.write({ records: [{}] });
    await until(() => fixture.log.appendsBegun === 1);
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(messages).toEqual([]);
    openGate();
    expect((await ended)?.code).toBe(status.INVALID_ARGUMENT);
    expect(messages).toHaveLength(1);
    expect(fixture.log.appendsBegun).toBe(1);
  });

  it('names the leader when this node is not the one', async () => {
    fixture.log.failures.push(new UnavailableError('not the leader', '10.0.0.2:8400'));
    const stream = fixture.client.bidi(LogService.method.appendStream);
    const { ended } = collect(stream);
    stream.write({ records: [{}] });
    const error = await ended;
    expect(error?.code).toBe(status.UNAVAILABLE);
    expect(error?.metadata.get('golog-leader')).toEqual(['10.0.0.2:8400']);
  });

  it('a client that leaves, or whose deadline passes, leaves nothing behind', async () => {
    shutGate();
    const cancelled = fixture.client.bidi(LogService.method.appendStream);
    const cancelledEnd = collect(cancelled).ended;
    cancelled.write({ records: [{}] });
    await until(() => fixture.log.inFlight === 1);
    cancelled.cancel();
    expect((await cancelledEnd)?.code).toBe(status.CANCELLED);
    // A deadline that passes before the request is sent is none that the server could see.
    while (fixture.log.inFlight === 1) {
      const late = fixture.client.bidi(LogService.method.appendStream, { deadline: Date.now() + 100 });
      const lateEnd = collect(late).ended;
      late.write({ records: [{}] });
      expect((await lateEnd)?.code).toBe(status.DEADLINE_EXCEEDED);
    }
    openGate();
    const { offset } = await fixture.client.unary(Log.method.produce, { record: {} });
    expect(offset).toBe(BigInt(fixture.log.appendsBegun - 1));
  });

  it('stops taking requests while the client does not take the answers', async () => {
    const session = connect(`http://127.0.0.1:${fixture.port}`, { settings: { initialWindowSize: 4_000 } });
    const stream = session.request({
      ':method': 'POST',
      ':path': '/log.v1.Log/ProduceStream',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const requests = 10_000;
    const request = Buffer.from('00000000020a00', 'hex');
    stream.end(Buffer.concat(Array<Buffer>(requests).fill(request)));
    let before = -1;
    while (fixture.log.appendsBegun !== before || before === 0) {
      before = fixture.log.appendsBegun;
      for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
    // The window holds at most 800 answers, the server's buffers 512, the stream 256 and what it has read ahead.
    expect(fixture.log.appendsBegun).toBeLessThan(2_000);
    stream.resume();
    await once(stream, 'close');
    expect(fixture.log.appendsBegun).toBe(requests);
    session.close();
  });
});
