import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { Client, credentials, status } from '@grpc/grpc-js';
import { GrpcServer } from '../../../src/adapters/grpc/index.js';
import { ManualClock } from '../../../src/adapters/memory/manual-clock.js';
import { type ClusterStatus, MembershipError } from '../../../src/application/ports/cluster.js';
import { OutcomeUnknownError, UnavailableError } from '../../../src/application/errors.js';
import { toTerm } from '../../../src/domain/log/offsets.js';
import { ClusterService, MemberRole, MemberState } from '../../../src/gen/golog/v1/cluster_service_pb.js';
import { exampleStatus, FakeCluster } from './fake-cluster.js';
import { FakeCommitLog } from './fake-commit-log.js';
import { until } from './fixture.js';
import { collect, errorOf, GrpcClient } from './grpc-client.js';
import { RecordingLogger } from '../../logging/recording-logger.js';

const { method } = ClusterService;

let cluster: FakeCluster;
let clock: ManualClock;
let logger: RecordingLogger;
let server: GrpcServer;
let port: number;
let client: GrpcClient;

beforeEach(async () => {
  cluster = new FakeCluster();
  clock = new ManualClock();
  logger = new RecordingLogger();
  server = new GrpcServer({ host: '127.0.0.1', port: 0 }, new FakeCommitLog(), logger, { cluster, clock });
  ({ port } = await server.listen());
  client = new GrpcClient(port);
});
afterEach(async () => {
  client.close();
  await server.close(0);
});

describe('golog.v1.ClusterService over gRPC', () => {
  it('describes the cluster in full', async () => {
    const { cluster: described } = await client.unary(method.getCluster, {});
    expect(described).toMatchObject({
      clusterId: exampleStatus.clusterId,
      answeredBy: 'n1',
      term: 7n,
      leader: 'n1',
      commitIndex: 1_234n,
      lastIndex: 1_240n,
      highWatermark: 98_765n,
      problem: 'n2 unreachable for 8 s; 1 of 3 voters synced, need 2',
    });
    expect(described!.members).toMatchObject([
      { id: 1n, role: MemberRole.LEADER, state: MemberState.SELF, lagEntries: 0n, heardMsAgo: 0n },
      {
        id: 2n,
        name: 'n2',
        uuid: exampleStatus.members[1].uuid,
        rpcAddr: '127.0.0.1:8410',
        role: MemberRole.VOTER,
        state: MemberState.UNREACHABLE,
        matchIndex: 1_200n,
        lagEntries: 40n,
        heardMsAgo: 8_400n,
      },
      { id: 3n, state: MemberState.REPLICATING },
      { id: 5n, uuid: '', role: MemberRole.LEARNER, state: MemberState.PROBING },
    ]);
    expect(described!.members[3]).not.toHaveProperty('heardMsAgo');
  });

  it('asks for the view of the node itself', async () => {
    expect((await client.unary(method.getCluster, { local: true })).cluster?.answeredBy).toBe('n9');
  });

  it('changes the membership', async () => {
    await client.unary(method.addMember, { name: 'n4', rpcAddr: '[::1]:8430' });
    await client.unary(method.promoteMember, { name: 'n4' });
    await client.unary(method.removeMember, { name: 'n2' });
    expect((await client.unary(method.transferLeadership, { name: 'n4' })).leader).toBe('n4');
    expect((await client.unary(method.transferLeadership, {})).leader).toBe('n3');
    expect(cluster.calls).toEqual([
      ['addMember', 'n4', '[::1]:8430'],
      ['promoteMember', 'n4'],
      ['removeMember', 'n2'],
      ['transferLeadership', 'n4'],
      ['transferLeadership', undefined],
    ]);
  });

  it.each([
    [new MembershipError('n2 is no learner'), status.FAILED_PRECONDITION, 'n2 is no learner'],
    [new UnavailableError('no leader', '10.0.0.1:8400'), status.UNAVAILABLE, 'no leader'],
    [new OutcomeUnknownError('leadership was lost'), status.ABORTED, 'leadership was lost'],
    [new Error('secret'), status.INTERNAL, 'internal error; the log of this node says more'],
  ])('answers with %p as the code says', async (failure, code, details) => {
    cluster.failures.push(failure);
    const error = await errorOf(client.unary(method.promoteMember, { name: 'n2' }));
    expect(error).toMatchObject({ code, details });
    expect(error.metadata.get('golog-leader')).toEqual(failure instanceof UnavailableError ? ['10.0.0.1:8400'] : []);
    expect(logger.lines).toHaveLength(code === status.INTERNAL ? 1 : 0);
  });

  it.each([
    [{ name: '', rpcAddr: 'a:1' }],
    [{ name: 'a b', rpcAddr: 'a:1' }],
    [{ name: 'n4', rpcAddr: '' }],
    [{ name: 'n4', rpcAddr: 'a:0' }],
    [{ name: 'n4', rpcAddr: 'a:65536' }],
    [{ name: 'n4', rpcAddr: 'http://a:1' }],
  ])('refuses %p', async (request) => {
    expect((await errorOf(client.unary(method.addMember, request))).code).toBe(status.INVALID_ARGUMENT);
    expect(cluster.calls).toEqual([]);
  });

  it('refuses bytes that are no request', async () => {
    const error = await errorOf(client.raw(method.removeMember, Buffer.from([0x0a, 0x7f])));
    expect(error).toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  it('aborts what the caller gave up', async () => {
    cluster.hang = true;
    // A deadline that passes before the call is sent is none that the server could see.
    while (cluster.hanging.length === 0) {
      const error = errorOf(client.unary(method.removeMember, { name: 'n2' }, { deadline: Date.now() + 50 }));
      expect((await error).code).toBe(status.DEADLINE_EXCEEDED);
    }
    await until(() => cluster.hanging[0]?.aborted === true);
  });
});

describe('a listener with ClusterService', () => {
  const asItIs = (bytes: Buffer): Buffer => bytes;
  const name = ClusterService.typeName;
  let raw: Client;
  beforeEach(() => {
    raw = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  });
  afterEach(() => {
    raw.close();
  });

  it('says of its health', async () => {
    const request = Buffer.from(new BinaryWriter().tag(1, 2).string(name).finish());
    const response = await new Promise<Buffer | undefined>((resolve, reject) => {
      raw.makeUnaryRequest('/grpc.health.v1.Health/Check', asItIs, asItIs, request, (error, bytes) => {
        if (error) reject(error);
        else resolve(bytes);
      });
    });
    expect(response).toEqual(Buffer.from([0x08, 1]));
  });

  it('lists it', async () => {
    const path = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
    const stream = raw.makeBidiStreamRequest(path, asItIs, asItIs);
    const { messages, ended } = collect(stream);
    stream.end(Buffer.from(new BinaryWriter().tag(7, 2).string('*').finish()));
    expect(await ended).toBeUndefined();
    expect(messages.map(String).join()).toContain(name);
  });
});

describe('WatchCluster over gRPC', () => {
  const advanced = (term: number): ClusterStatus => ({ ...exampleStatus, term: toTerm(term) });
  /** Lets the watcher look once more, and waits until it has. */
  async function look(): Promise<void> {
    const looked = cluster.calls.length;
    await until(() => clock.pending === 1);
    clock.advance(250);
    await until(() => cluster.calls.length > looked && clock.pending === 1);
  }

  it('sends the state at once, then only what is new', async () => {
    const { messages, count } = collect(client.serverStream(method.watchCluster, {}));
    await count(1);
    await look();
    cluster.current = advanced(8);
    await look();
    await count(2);
    const members = exampleStatus.members.map((member) => ({ ...member, heardMsAgo: 999 }));
    cluster.current = { ...advanced(8), members };
    await look();
    await count(3);
    cluster.current = { ...advanced(8), members: members.map((member) => ({ ...member, heardMsAgo: 1 })) };
    await look();
    cluster.current = advanced(9);
    await look();
    await count(4);
    expect(messages.map((message) => message.cluster?.term)).toEqual([7n, 8n, 8n, 9n]);
  });

  it('falls back to the view of the node while the leader cannot be asked', async () => {
    const { messages, count } = collect(client.serverStream(method.watchCluster, {}));
    await count(1);
    cluster.failures.push(new UnavailableError('no leader'));
    await look();
    await look();
    await count(3);
    expect(messages.map((message) => message.cluster?.answeredBy)).toEqual(['n1', 'n9', 'n1']);
  });

  it('ends with an error that it cannot mend', async () => {
    cluster.failures.push(new UnavailableError('no leader'), new UnavailableError('stopping'));
    const { ended } = collect(client.serverStream(method.watchCluster, {}));
    expect(await ended).toMatchObject({ code: status.UNAVAILABLE, details: 'stopping' });
  });

  it('leaves no timer behind when its caller leaves', async () => {
    const stream = client.serverStream(method.watchCluster, { local: true });
    const { count, ended } = collect(stream);
    await count(1);
    await until(() => clock.pending === 1);
    stream.cancel();
    expect((await ended)?.code).toBe(status.CANCELLED);
    await until(() => clock.pending === 0);
    expect(cluster.calls).toEqual([['status', 'local']]);
  });

  it('does not hold up a shutdown', async () => {
    const { count, ended } = collect(client.serverStream(method.watchCluster, {}));
    await count(1);
    await server.close(60_000);
    expect((await ended)?.code).toBe(status.UNAVAILABLE);
    await until(() => clock.pending === 0);
  });
});
