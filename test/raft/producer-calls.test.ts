import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { GrpcServer } from '../../src/adapters/grpc/index.js';
import { HttpServer } from '../../src/adapters/http/index.js';
import type { CommitLog } from '../../src/application/ports/commit-log.js';
import { LogService } from '../../src/gen/golog/v1/log_service_pb.js';
import { errorOf, GrpcClient } from '../adapters/grpc/grpc-client.js';
import { RecordingLogger } from '../logging/recording-logger.js';
import { Group, valuesOf } from './group.js';
import { names, replicaOf } from './replica-fixture.js';

const { append, closeProducer, openProducer } = LogService.method;
const host = '127.0.0.1';
const records = [{ value: Buffer.from('a') }];

type Reach = 'the leader' | 'a follower' | 'a replica';

/** A group in memory at which producers are accepted, and real listeners of one of its nodes. */
describe.each<Reach>(['the leader', 'a follower', 'a replica'])('calls of producers at %s', (reach) => {
  let group: Group;
  let grpc: GrpcServer;
  let http: HttpServer;
  let client: GrpcClient;
  let baseUrl: string;

  beforeEach(async () => {
    group = await Group.of(names, { exactlyOnceLevel: 1 });
    const service = await serviceAt();
    grpc = new GrpcServer({ host, port: 0 }, service, new RecordingLogger());
    http = new HttpServer({ host, port: 0 }, service, new RecordingLogger());
    client = new GrpcClient((await grpc.listen()).port);
    baseUrl = `http://${host}:${(await http.listen()).port}`;
  });
  afterEach(async () => {
    client.close();
    await Promise.all([grpc.close(0), http.close(0)]);
  });

  async function serviceAt(): Promise<CommitLog> {
    const leader = await group.leader();
    if (reach === 'the leader') return leader.service;
    if (reach === 'a follower') return group.follower().service;
    return (await replicaOf(group, leader, { exactlyOnceLevel: 1 })).service;
  }

  /** Lets the group run until the call is answered, which takes real time. */
  async function answered<T>(call: Promise<T>): Promise<T> {
    let done = false;
    const end = (): void => {
      done = true;
    };
    call.then(end, end);
    while (!done) {
      group.clock.advance(1);
      await group.until(() => true);
    }
    return call;
  }

  const post = (body: unknown): Promise<[number, unknown]> =>
    answered(
      fetch(baseUrl, { method: 'POST', body: JSON.stringify(body) }).then(async (response) => [
        response.status,
        await response.json(),
      ]),
    );
  const unary: GrpcClient['unary'] = (...call) => answered(client.unary(...call));

  it('store a record once that is posted twice, and tell the second', async () => {
    const request = { record: { value: 'YQ==' }, producer: { id: 'p', epoch: 0, sequence: 0 } };
    expect(await post(request)).toEqual([200, { offset: 0 }]);
    expect(await post(request)).toEqual([200, { offset: 0, duplicate: true }]);
    expect(await valuesOf(await group.leader())).toHaveLength(1);
  });

  it('open, append, say what is a duplicate, and close', async () => {
    expect(await unary(openProducer, { id: 'p' })).toMatchObject({ id: 'p', epoch: 1n });
    const producer = { id: 'p', epoch: 1n, sequence: 0n };
    expect(await unary(append, { records, producer })).toMatchObject({ baseOffset: 0n, duplicate: false, producer });
    expect(await unary(append, { records, producer })).toMatchObject({ baseOffset: 0n, duplicate: true, producer });
    expect(await unary(openProducer, { id: 'p' })).toMatchObject({ epoch: 2n, lastSequence: 0n, lastBaseOffset: 0n });
    await unary(closeProducer, { id: 'p', epoch: 2n });
    expect(await unary(openProducer, { id: 'p' })).toMatchObject({ epoch: 1n });
  });

  it('are refused with the reason and the numbers of the leader', async () => {
    await unary(openProducer, { id: 'p', epoch: 3n });
    const fenced = await answered(errorOf(client.unary(append, { records, producer: { id: 'p', epoch: 2n } })));
    const details = String(fenced.metadata.get('grpc-status-details-bin')[0]);
    for (const part of ['PRODUCER_FENCED', 'currentEpoch']) expect(details).toContain(part);
    const late = { record: { value: 'YQ==' }, producer: { id: 'p', epoch: 3, sequence: 5 } };
    expect(await post(late)).toEqual([
      412,
      expect.objectContaining({ type: 'urn:golog:problem:producer-sequence-gap', expected: 0, sequence: 5 }),
    ]);
  });
});
