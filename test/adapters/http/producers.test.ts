import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { afterEach, describe, expect, it } from '@jest/globals';
import { LogService } from '../../../src/gen/golog/v1/log_service_pb.js';
import { closeAll, serve } from './harness.js';

afterEach(closeAll);

async function post(baseUrl: string, body: unknown): Promise<[number, unknown]> {
  const response = await fetch(baseUrl, { method: 'POST', body: JSON.stringify(body) });
  return [response.status, await response.json()];
}

const record = { value: 'a' };
const problemOf = (name: string) => expect.objectContaining({ type: `urn:golog:problem:${name}` });

describe('POST / of a producer', () => {
  it('stores a record once, however often it is sent', async () => {
    const { baseUrl } = await serve();
    const request = { record, producer: { id: 'p', epoch: 0, sequence: '0' } };
    expect(await post(baseUrl, request)).toEqual([200, { offset: 0 }]);
    expect(await post(baseUrl, request)).toEqual([200, { offset: 0, duplicate: true }]);
    expect(await post(baseUrl, { ...request, producer: { ...request.producer, sequence: 1 } })).toEqual([
      200,
      { offset: 1 },
    ]);
  });

  it('is refused with its reason as the type of the problem', async () => {
    const { baseUrl } = await serve();
    await post(baseUrl, { record, producer: { id: 'p', epoch: 3, sequence: 0 } });
    expect(await post(baseUrl, { record, producer: { id: 'p', epoch: 2, sequence: 0 } })).toEqual([
      412,
      expect.objectContaining({
        type: 'urn:golog:problem:producer-fenced',
        title: 'Producer fenced',
        currentEpoch: 3,
      }),
    ]);
    const late = { record, producer: { id: 'p', epoch: 3, sequence: 5 } };
    expect(await post(baseUrl, late)).toEqual([412, problemOf('producer-sequence-gap')]);
  });

  it.each([
    [{ id: 'p', epoch: 0 }, 'producer.sequence'],
    [{ id: 'p', epoch: -1, sequence: 0 }, 'producer.epoch'],
    [{ id: 'p', epoch: 0, sequence: 1.5 }, 'producer.sequence'],
    [{ id: 'p', epoch: 0, sequence: '9007199254740993' }, 'producer.sequence'],
    [{ id: '', epoch: 0, sequence: 0 }, 'has 0 bytes: expected 1 to 128'],
    [{ id: '\ud800', epoch: 0, sequence: 0 }, 'half a surrogate pair'],
    ['p', 'producer'],
  ])('is refused if it is malformed: %j', async (producer, text) => {
    const { baseUrl, commitLog } = await serve();
    const detail = expect.stringContaining(text);
    expect(await post(baseUrl, { record, producer })).toEqual([400, expect.objectContaining({ detail })]);
    expect(commitLog.batches).toEqual([]);
  });
});

describe.each([true, false])('LogService over Connect (binary: %s)', (useBinaryFormat) => {
  it('opens and closes producers, and echoes them', async () => {
    const { baseUrl } = await serve();
    const log = createClient(LogService, createConnectTransport({ baseUrl, httpVersion: '1.1', useBinaryFormat }));
    const { id, epoch } = await log.openProducer({ ephemeral: true });
    const producer = { id, epoch, sequence: 0n };
    const records = [{ value: Buffer.from('a') }];
    expect(await log.append({ records, producer })).toMatchObject({ baseOffset: 0n, duplicate: false, producer });
    expect(await log.append({ records, producer })).toMatchObject({ baseOffset: 0n, duplicate: true, producer });
    await log.closeProducer({ id, epoch });
    expect(await log.openProducer({ id, epoch: epoch + 5n })).toMatchObject({ id, epoch: epoch + 5n });
  });
});
