import { constants } from 'node:http2';
import { afterEach, describe, expect, it } from '@jest/globals';
import { anonymous } from '../../src/application/access/access.js';
import { defaultMemoryBudget, MemoryBudget } from '../../src/application/access/memory-budget.js';
import { ManualClock } from '../../src/adapters/memory/manual-clock.js';
import { encodeRecord } from '../../src/domain/log/record.js';
import { defaultRecordLimits, frameRecords } from '../../src/domain/log/records.js';
import { endHostility, HostileClient } from '../attacks/hostile-client.js';
import * as h2 from '../attacks/http2-frames.js';
import { start } from './grpc/fixture.js';
import { closeAll, eventually, serve } from './http/harness.js';

/** A message that is long for its reader, who takes a part of it at a time: a reader that takes little is no idle one. */

const recordBytes = 512 * 1024;
const partBytes = 16 * 1024;
/** Longer than the patience: 20 looks at each reader. */
const parts = 20;
const address = '127.0.0.2';
const lookMs = 1_000;

const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  endHostility();
  await closeAll();
  for (const close of closing.splice(0)) await close();
});

interface Call {
  readonly path: string;
  readonly method?: 'GET' | 'POST';
  readonly contentType?: string;
  readonly message?: Uint8Array;
}

const grpcMessage = h2.enveloped(new Uint8Array(0));
const calls: [name: string, port: 'gRPC' | 'HTTP', Call][] = [
  ['Consume', 'gRPC', { path: '/log.v1.Log/Consume', message: grpcMessage }],
  ['ConsumeStream', 'gRPC', { path: '/log.v1.Log/ConsumeStream', message: grpcMessage }],
  ['Read', 'gRPC', { path: '/golog.v1.LogService/Read', message: grpcMessage }],
  ['Consume by gRPC', 'HTTP', { path: '/log.v1.Log/Consume', message: grpcMessage }],
  ['Tail by gRPC', 'HTTP', { path: '/golog.v1.LogService/Tail', message: grpcMessage }],
  [
    'Read as JSON',
    'HTTP',
    { path: '/golog.v1.LogService/Read', contentType: 'application/json', message: Buffer.from('{}') },
  ],
  ['GET /', 'HTTP', { path: '/?offset=0', method: 'GET' }],
];

function requestOf({ path, method = 'POST', contentType = 'application/grpc', message }: Call): Buffer[] {
  const fields = [
    [':method', method],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'localhost'],
    ['content-type', contentType],
    ['te', 'trailers'],
  ] as const;
  const block = h2.headerBlock(fields);
  return message === undefined
    ? [h2.headers(1, block, h2.flag.endHeaders | h2.flag.endStream)]
    : [h2.headers(1, block), h2.data(1, message, h2.flag.endStream)];
}

async function open(port: 'gRPC' | 'HTTP', memory: MemoryBudget, record: Uint8Array): Promise<number> {
  const records = frameRecords([encodeRecord({ value: record })], defaultRecordLimits);
  if (port === 'HTTP') {
    const { commitLog, port: number } = await serve({ memory });
    await commitLog.append(records);
    return number;
  }
  const { log, close, port: number } = await start({ memory });
  closing.push(close);
  await log.append(records);
  return number;
}

describe('while a call waits for memory', () => {
  it.each(calls)('%s on the %s port goes on while its reader takes parts of a message', async (_, port, call) => {
    const clock = new ManualClock();
    const memory = new MemoryBudget({ ...defaultMemoryBudget, bytesPerClientMax: recordBytes }, clock);
    const number = await open(port, memory, Buffer.alloc(recordBytes, 'x'));
    const client = await HostileClient.greet(number, { from: address }, [h2.setting.initialWindowSize, 0]);
    client.send(...requestOf(call));
    await eventually('a message', () => memory.bytes >= recordBytes);
    const waits = memory.begin(anonymous, address, () => undefined).reserve(recordBytes, new AbortController().signal);
    expect(waits).toBeDefined();
    const taken = (): number =>
      client.frames.reduce((sum, { type, payload }) => sum + (type === h2.frameType.data ? payload.length : 0), 0);
    const resets = (): number[] =>
      client.frames.filter(({ type }) => type === h2.frameType.rstStream).map(({ payload }) => payload.readUInt32BE());
    for (let part = 1; part <= parts; part += 1) {
      client.send(h2.windowUpdate(0, partBytes), h2.windowUpdate(1, partBytes));
      await eventually('a part', () => taken() === part * partBytes || resets().length > 0);
      expect(resets()).toEqual([]);
      clock.advance(lookMs);
    }
    // From here on he takes nothing.
    for (let look = 0; look < 6; look += 1) clock.advance(lookMs);
    await eventually('the end of the call', () => resets().length > 0);
    expect(resets()).toEqual([constants.NGHTTP2_ENHANCE_YOUR_CALM]);
  });
});
