import { create, toBinary } from '@bufbuild/protobuf';
import { type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { AppendRequestSchema, LogService } from '../../../src/gen/golog/v1/log_service_pb.js';
import { type Fixture, start } from './fixture.js';
import { errorOf } from './grpc-client.js';

const { append, appendStream, closeProducer, openProducer } = LogService.method;
const records = [{ value: Buffer.from('a') }];

/** The encoded `google.rpc.Status`, which names the reason. */
const reasonOf = ({ metadata }: ServiceError): string => String(metadata.get('grpc-status-details-bin')[0]);

let fixture: Fixture;
beforeEach(async () => {
  fixture = await start();
});
afterEach(() => fixture.close());

describe('a producer', () => {
  it('opens an id, appends, and is told of a duplicate and of its last batch', async () => {
    const { client } = fixture;
    expect(await client.unary(openProducer, { id: 'p' })).toMatchObject({ id: 'p', epoch: 0n });
    const producer = { id: 'p', epoch: 0n, sequence: 0n };
    const first = await client.unary(append, { records, producer });
    expect(first).toMatchObject({ baseOffset: 0n, duplicate: false, producer });
    const again = await client.unary(append, { records, producer });
    expect(again).toMatchObject({ baseOffset: 0n, recordCount: 1, duplicate: true, producer });
    expect(again.receipt).toMatchObject({ term: first.receipt?.term, index: first.receipt?.index, syncedOn: [] });
    const reopened = await client.unary(openProducer, { id: 'p' });
    expect(reopened).toMatchObject({ epoch: 1n, lastSequence: 0n, lastBaseOffset: 0n });
    await client.unary(closeProducer, { id: 'p', epoch: 1n });
    expect((await client.unary(openProducer, { id: 'p' })).lastSequence).toBeUndefined();
  });

  it('may leave its id to the server, and choose its epoch', async () => {
    const { client, log } = fixture;
    const { id } = await client.unary(openProducer, { ephemeral: true });
    expect(id).not.toBe('');
    expect(await client.unary(openProducer, { id: 'p', epoch: 7n })).toMatchObject({ id: 'p', epoch: 7n });
    expect(log.producers.openings).toEqual([
      { id: '', isEphemeral: true },
      { id: 'p', isEphemeral: false, epoch: 7 },
    ]);
  });

  it('is refused with a reason and the numbers', async () => {
    const { client } = fixture;
    await client.unary(openProducer, { id: 'p', epoch: 2n });
    const fenced = errorOf(client.unary(append, { records, producer: { id: 'p', epoch: 1n } }));
    expect(await fenced).toMatchObject({ code: status.FAILED_PRECONDITION });
    expect(reasonOf(await fenced)).toContain('PRODUCER_FENCED');
    const gap = errorOf(client.unary(append, { records, producer: { id: 'p', epoch: 2n, sequence: 3n } }));
    expect(await gap).toMatchObject({ code: status.FAILED_PRECONDITION });
    expect(reasonOf(await gap)).toContain('PRODUCER_SEQUENCE_GAP');
    expect((await gap).message).toContain('expected sequence 0');
  });

  it('is refused if it is malformed', async () => {
    const { client } = fixture;
    const refused = async (request: Buffer | object, text: string): Promise<void> => {
      const error = await errorOf(client.unary(append, request));
      expect([error.code, error.message]).toEqual([status.INVALID_ARGUMENT, expect.stringContaining(text)]);
    };
    await refused({ records, producer: {} }, 'has 0 bytes: expected 1 to 128');
    await refused({ records, producer: { id: 'ü'.repeat(65) } }, 'has 130 bytes');
    await refused({ records, producer: { id: 'p', sequence: 2n ** 53n } }, 'the sequence of a producer is');
    const whole = Buffer.from(toBinary(AppendRequestSchema, create(AppendRequestSchema, { records })));
    await refused(Buffer.concat([whole, Buffer.from([0x1a, 9, 1])]), 'its length exceeds the request');
    await refused(Buffer.concat([whole, Buffer.from([0x1a, 1, 0xff])]), 'the producer is malformed');
    await refused(Buffer.concat([whole, Buffer.from([0x18, 1])]), 'field 3 of the request has wire type 0');
    const twice = Buffer.from([0x1a, 3, 0x0a, 1, 0x70]);
    await refused(Buffer.concat([twice, whole, twice]), 'producer more than once');
    const nameless = await errorOf(client.unary(openProducer, {}));
    expect(nameless.message).toContain('there is no id: expected one, or ephemeral');
  });

  it('is acknowledged in the order of its batches on a stream', async () => {
    const call = fixture.client.bidi(appendStream);
    const answers: unknown[] = [];
    const ended = new Promise((resolve) => call.on('end', resolve));
    call.on('data', (answer) => answers.push(answer));
    for (const sequence of [0n, 1n, 1n]) call.write({ records, producer: { id: 'p', epoch: 0n, sequence } });
    call.end();
    await ended;
    expect(answers).toMatchObject([
      { baseOffset: 0n, duplicate: false, producer: { sequence: 0n } },
      { baseOffset: 1n, duplicate: false, producer: { sequence: 1n } },
      { baseOffset: 1n, duplicate: true, producer: { sequence: 1n } },
    ]);
  });
});
