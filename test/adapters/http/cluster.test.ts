import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { HttpServer } from '../../../src/adapters/http/index.js';
import { ManualClock } from '../../../src/adapters/memory/manual-clock.js';
import { FeatureNotEnabledError, MembershipError } from '../../../src/application/ports/cluster.js';
import { OutcomeUnknownError, UnavailableError } from '../../../src/application/errors.js';
import { toTerm } from '../../../src/domain/log/offsets.js';
import { ClusterService, MemberRole, MemberState } from '../../../src/gen/golog/v1/cluster_service_pb.js';
import { exampleStatus, FakeCluster } from '../grpc/fake-cluster.js';
import { FakeCommitLog } from './fake-commit-log.js';
import { eventually } from './harness.js';
import { RecordingLogger } from '../../logging/recording-logger.js';

const transports: [string, (baseUrl: string) => Transport][] = [
  ['Connect', (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '1.1' })],
  ['Connect, GET', (baseUrl) => createConnectTransport({ baseUrl, httpVersion: '1.1', useHttpGet: true })],
  ['gRPC-Web', (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: '2' })],
  ['gRPC', (baseUrl) => createGrpcTransport({ baseUrl })],
];

let cluster: FakeCluster;
let clock: ManualClock;
let server: HttpServer;
let baseUrl: string;

beforeEach(async () => {
  cluster = new FakeCluster();
  clock = new ManualClock();
  const administration = { cluster, clock };
  server = new HttpServer({ host: '127.0.0.1', port: 0 }, new FakeCommitLog(), new RecordingLogger(), administration);
  baseUrl = `http://127.0.0.1:${(await server.listen()).port}`;
});
afterEach(async () => {
  await server.close(0);
});

async function errorOf(call: Promise<unknown>): Promise<ConnectError> {
  return ConnectError.from(
    await call.then(
      () => new Error('the call did not fail'),
      (error: unknown) => error,
    ),
  );
}

describe.each(transports)('golog.v1.ClusterService over %s', (_name, transportFor) => {
  it('describes the cluster in full', async () => {
    const client = createClient(ClusterService, transportFor(baseUrl));
    const { cluster: described } = await client.getCluster({});
    expect(described).toMatchObject({
      clusterId: exampleStatus.clusterId,
      answeredBy: 'n1',
      term: 7n,
      leader: 'n1',
      commitIndex: 1_234n,
      lastIndex: 1_240n,
      highWatermark: 98_765n,
      problem: exampleStatus.problem,
      members: [
        { id: 1n, role: MemberRole.LEADER, state: MemberState.SELF, lagEntries: 0n },
        { id: 2n, state: MemberState.UNREACHABLE, matchIndex: 1_200n, lagEntries: 40n, heardMsAgo: 8_400n },
        { id: 3n, role: MemberRole.VOTER, state: MemberState.REPLICATING },
        { id: 5n, uuid: '', role: MemberRole.LEARNER, state: MemberState.PROBING },
      ],
    });
    expect((await client.getCluster({ local: true })).cluster?.answeredBy).toBe('n9');
  });

  it('changes the membership', async () => {
    const client = createClient(ClusterService, transportFor(baseUrl));
    await client.addMember({ name: 'n4', rpcAddr: '10.0.0.4:8400' });
    await client.promoteMember({ name: 'n4' });
    await client.removeMember({ name: 'n2' });
    expect((await client.transferLeadership({ name: 'n4' })).leader).toBe('n4');
    expect((await client.transferLeadership({})).leader).toBe('n3');
    expect(cluster.calls).toEqual([
      ['addMember', 'n4', '10.0.0.4:8400'],
      ['promoteMember', 'n4'],
      ['removeMember', 'n2'],
      ['transferLeadership', 'n4'],
      ['transferLeadership', undefined],
    ]);
  });

  it.each([
    [new MembershipError('n2 is no learner'), Code.FailedPrecondition],
    [new FeatureNotEnabledError(1, 0), Code.FailedPrecondition],
    [new UnavailableError('no leader', '10.0.0.1:8400'), Code.Unavailable],
    [new OutcomeUnknownError('leadership was lost'), Code.Aborted],
  ])('answers with %p as the code says', async (failure, code) => {
    cluster.failures.push(failure);
    const error = await errorOf(createClient(ClusterService, transportFor(baseUrl)).promoteMember({ name: 'n2' }));
    expect([error.code, error.rawMessage]).toEqual([code, failure.message]);
    expect(error.metadata.get('golog-leader')).toBe(code === Code.Unavailable ? '10.0.0.1:8400' : null);
  });

  it('changes settings, and truncates the log', async () => {
    const client = createClient(ClusterService, transportFor(baseUrl));
    const { settings } = await client.setSetting({ setting: { case: 'retentionAgeMs', value: 60_000n } });
    expect(settings).toMatchObject({ retentionAgeMs: 60_000n, retentionBytes: 10_000_000_000n, featureLevel: 1n });
    expect((await client.truncateLog({ before: 900n })).startOffset).toBe(900n);
    expect(cluster.calls).toEqual([
      ['changeSettings', { retentionAgeMs: 60_000 }],
      ['changeSettings', { startOffset: 900 }],
    ]);
    for (const value of [0n, 1_000_001n, 2n ** 63n]) {
      const error = await errorOf(client.setSetting({ setting: { case: 'producersMax', value } }));
      expect(error.code).toBe(Code.InvalidArgument);
    }
    expect((await errorOf(client.setSetting({}))).code).toBe(Code.InvalidArgument);
    expect((await errorOf(client.truncateLog({ before: 2n ** 60n }))).code).toBe(Code.InvalidArgument);
  });

  it('refuses a name that is none', async () => {
    const error = await errorOf(createClient(ClusterService, transportFor(baseUrl)).addMember({ rpcAddr: 'a:1' }));
    expect(error.code).toBe(Code.InvalidArgument);
  });

  it('aborts what the caller gave up', async () => {
    cluster.hang = true;
    const client = createClient(ClusterService, transportFor(baseUrl));
    const error = await errorOf(client.removeMember({ name: 'n2' }, { timeoutMs: 100 }));
    expect(error.code).toBe(Code.DeadlineExceeded);
    await eventually('the signal aborts', () => cluster.hanging[0]?.aborted === true);
  });

  it('watches, and ends at a shutdown', async () => {
    const client = createClient(ClusterService, transportFor(baseUrl));
    const terms: (bigint | undefined)[] = [];
    const watched = errorOf(
      (async () => {
        for await (const { cluster: now } of client.watchCluster({})) terms.push(now?.term);
      })(),
    );
    await eventually('the first state', () => terms.length === 1 && clock.pending === 1);
    cluster.current = { ...exampleStatus, term: toTerm(8) };
    clock.advance(250);
    await eventually('the second state', () => terms.length === 2 && clock.pending === 1);
    clock.advance(250);
    await eventually('a look without news', () => cluster.calls.length === 3 && clock.pending === 1);
    await server.close(60_000);
    const error = await watched;
    expect([error.code, error.rawMessage]).toEqual([Code.Unavailable, 'this node is shutting down']);
    expect(terms).toEqual([7n, 8n]);
    expect(clock.pending).toBe(0);
  });
});
