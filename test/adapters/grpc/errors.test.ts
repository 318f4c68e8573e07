import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import type { ServiceError } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import {
  OutcomeUnknownError,
  OverloadedError,
  QuorumDiskFullError,
  UnavailableError,
} from '../../../src/application/errors.js';
import {
  CorruptRangeError,
  DiskReserveError,
  ExpectedOffsetMismatchError,
  OffsetOutOfRangeError,
  TooLargeError,
} from '../../../src/domain/log/errors.js';
import { toOffset } from '../../../src/domain/log/offsets.js';
import { LogService } from '../../../src/gen/golog/v1/log_service_pb.js';
import type { Fixture } from './fixture.js';
import { start } from './fixture.js';
import { collect, errorOf } from './grpc-client.js';

let fixture: Fixture;
beforeEach(async () => {
  fixture = await start();
});
afterEach(() => fixture.close());

/** Fields by number; a field is its bytes, or a number for a varint. */
function fieldsOf(bytes: Uint8Array): Map<number, (Uint8Array | number)[]> {
  const reader = new BinaryReader(bytes);
  const fields = new Map<number, (Uint8Array | number)[]>();
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    const value = wireType === WireType.Varint ? reader.int32() : reader.bytes();
    fields.set(number, [...(fields.get(number) ?? []), value]);
  }
  return fields;
}
const textOf = (value: Uint8Array | number | undefined): string => Buffer.from(value as Uint8Array).toString();

/** The google.rpc.Status of the trailer: code, message, and the details by type. */
function richStatus(error: ServiceError): { code: unknown; message: string; details: Map<string, Uint8Array> } {
  const [trailer] = error.metadata.get('grpc-status-details-bin');
  const fields = fieldsOf(trailer as Buffer);
  const details = (fields.get(3) ?? []).map((any): [string, Uint8Array] => {
    const parts = fieldsOf(any as Uint8Array);
    return [textOf(parts.get(1)?.[0]), parts.get(2)?.[0] as Uint8Array];
  });
  return { code: fields.get(1)?.[0], message: textOf(fields.get(2)?.[0]), details: new Map(details) };
}

function errorInfo(error: ServiceError): { reason: string; domain: string; metadata: Record<string, string> } {
  const fields = fieldsOf(richStatus(error).details.get('type.googleapis.com/google.rpc.ErrorInfo')!);
  const metadata = (fields.get(3) ?? []).map((entry) => {
    const parts = fieldsOf(entry as Uint8Array);
    return [textOf(parts.get(1)?.[0]), textOf(parts.get(2)?.[0])] as const;
  });
  return {
    reason: textOf(fields.get(1)?.[0]),
    domain: textOf(fields.get(2)?.[0]),
    metadata: Object.fromEntries(metadata),
  };
}

const rows = [
  {
    error: new OffsetOutOfRangeError(7, toOffset(2), toOffset(5)),
    code: 'OUT_OF_RANGE',
    details: { offset: '7', logStartOffset: '2', highWatermark: '5' },
    trailers: { 'golog-offset': '7', 'golog-log-start-offset': '2', 'golog-high-watermark': '5' },
  },
  {
    error: new ExpectedOffsetMismatchError(4, toOffset(9)),
    code: 'FAILED_PRECONDITION',
    details: { expected: '4', actual: '9' },
    trailers: { 'golog-expected': '4', 'golog-actual': '9' },
  },
  {
    error: new UnavailableError('no leader', '10.0.0.1:8400'),
    code: 'UNAVAILABLE',
    details: { leaderAddr: '10.0.0.1:8400' },
    trailers: { 'golog-leader': '10.0.0.1:8400', 'grpc-retry-pushback-ms': '1000' },
    retry: true,
  },
  { error: new OutcomeUnknownError('outcome unknown'), code: 'ABORTED', details: {}, trailers: {} },
  {
    error: new TooLargeError('batch', 9, 8),
    code: 'INVALID_ARGUMENT',
    details: { what: 'batch', size: '9', limit: '8' },
    trailers: { 'golog-limit': '8', 'golog-size': '9' },
  },
  {
    error: new OverloadedError('queue', 8),
    code: 'RESOURCE_EXHAUSTED',
    details: { what: 'queue', limit: '8' },
    trailers: { 'golog-limit': '8' },
    retry: true,
  },
  {
    error: new DiskReserveError(1, 2),
    code: 'RESOURCE_EXHAUSTED',
    details: { limit: 'disk reserve', freeBytes: '1', reserveBytes: '2' },
    trailers: { 'golog-limit': 'disk reserve' },
  },
  {
    error: new QuorumDiskFullError(['n2', 'n3']),
    code: 'RESOURCE_EXHAUSTED',
    details: { limit: 'disk reserve', members: 'n2,n3' },
    trailers: { 'golog-limit': 'disk reserve' },
  },
  {
    error: new CorruptRangeError(toOffset(3), toOffset(6), 'bad checksum'),
    code: 'DATA_LOSS',
    details: { from: '3', to: '6' },
    trailers: { 'golog-from': '3', 'golog-to': '6' },
  },
] as const;

describe('each row of the error table reaches the caller with its code and details', () => {
  it.each(rows)('$error.name → $code', async ({ error, code, details, trailers, ...row }) => {
    fixture.log.failures.push(error);
    const answer = await errorOf(fixture.client.unary(LogService.method.append, { records: [{}] }));
    expect(answer).toMatchObject({ code: status[code], details: error.message });
    expect(richStatus(answer)).toMatchObject({ code: status[code], message: error.message });
    expect(errorInfo(answer)).toEqual({ reason: code, domain: 'golog.v1', metadata: details });
    for (const [name, value] of Object.entries(trailers)) expect(answer.metadata.get(name)).toEqual([value]);
    const retryInfo = richStatus(answer).details.get('type.googleapis.com/google.rpc.RetryInfo');
    // retry_delay { seconds: 1 }
    expect(retryInfo && Buffer.from(retryInfo).toString('hex')).toBe('retry' in row ? '0a020801' : undefined);
  });

  it.each(rows)('$error.name on a follow', async ({ error, code }) => {
    fixture.log.failures.push(error);
    const ended = await collect(fixture.client.serverStream(LogService.method.tail, {})).ended;
    expect(ended).toMatchObject({ code: status[code], details: error.message });
    expect(ended?.metadata.get('grpc-status-details-bin')).toHaveLength(1);
  });
});

describe('an error that is none of these', () => {
  it('is INTERNAL, tells the caller nothing, and is logged whole', async () => {
    const error = new Error('ENOENT: /var/lib/golog/secret');
    fixture.log.failures.push(error);
    const answer = await errorOf(fixture.client.unary(LogService.method.append, { records: [{}] }));
    expect(answer.code).toBe(status.INTERNAL);
    expect(JSON.stringify([answer.details, answer.metadata.toJSON()])).not.toContain('ENOENT');
    expect(fixture.logger.lines).toMatchObject([
      { level: 'error', event: 'call_failed', fields: { method: 'Append' } },
    ]);
    expect(fixture.logger.fieldsOf('call_failed')).toEqual([{ error, method: 'Append' }]);
  });

  it('a message with what no header can carry arrives all the same', async () => {
    fixture.log.failures.push(new UnavailableError('leader \ud800 é\r\n', 'leader-é\n\udfff:1'));
    const answer = await errorOf(fixture.client.unary(LogService.method.append, { records: [{}] }));
    expect(answer).toMatchObject({ code: status.UNAVAILABLE, details: 'leader \ufffd é\r\n' });
    expect(answer.metadata.get('golog-leader')).toEqual(['leader-%C3%A9%0A%EF%BF%BD:1']);
  });
});
