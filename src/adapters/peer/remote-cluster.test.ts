import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Client, credentials } from '@grpc/grpc-js';
import { createServer } from 'node:net';
import type { AddressInfo, Server as TcpServer } from 'node:net';
import { exampleStatus, FakeCluster } from '../../../test/adapters/grpc/fake-cluster.js';
import { FakeCommitLog } from '../../../test/adapters/grpc/fake-commit-log.js';
import { until } from '../../../test/adapters/grpc/fixture.js';
import { MembershipError } from '../../application/ports/cluster.js';
import { OutcomeUnknownError, UnavailableError } from '../../application/errors.js';
import { InvalidInputError } from '../../domain/log/errors.js';
import { GrpcServer } from '../grpc/index.js';
import { ManualClock } from '../memory/manual-clock.js';
import { RemoteCluster } from './remote-cluster.js';
import { RecordingLogger } from '../../../test/logging/recording-logger.js';

const never = new AbortController().signal;

let cluster: FakeCluster;
let server: GrpcServer;
let client: Client;
let remote: RemoteCluster;
const connect = (port: number): Client =>
  new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });

beforeEach(async () => {
  cluster = new FakeCluster();
  const administration = { cluster, clock: new ManualClock() };
  server = new GrpcServer({ host: '127.0.0.1', port: 0 }, new FakeCommitLog(), new RecordingLogger(), administration);
  client = connect((await server.listen()).port);
  remote = new RemoteCluster(client);
});
afterEach(async () => {
  client.close();
  await server.close(0);
});

describe('RemoteCluster', () => {
  it('returns the cluster as the peer sees it, without forwarding', async () => {
    cluster.localView = exampleStatus;
    expect(await remote.status({ signal: never })).toEqual(exampleStatus);
    expect(cluster.calls).toEqual([['status', 'local']]);
  });

  it('maps the states that an idle cluster does not have', async () => {
    const { leader: _leader, problem: _problem, ...rest } = exampleStatus;
    const members = (['unknown', 'catching-up'] as const).map((state) => ({ ...exampleStatus.members[3], state }));
    cluster.localView = { ...rest, members };
    expect(await remote.status({ signal: never, local: true })).toEqual(cluster.localView);
  });

  it('refuses a number past 2^53 in the answer of a peer, instead of another number', async () => {
    const tooLarge = 2 ** 53;
    const changed = [
      { ...exampleStatus, settings: { ...exampleStatus.settings, producersMax: tooLarge } },
      { ...exampleStatus, members: exampleStatus.members.map((member) => ({ ...member, lagEntries: tooLarge })) },
    ];
    for (const status of changed) {
      cluster.localView = status;
      await expect(remote.status({ signal: never })).rejects.toBeInstanceOf(UnavailableError);
    }
  });

  it('changes the configuration at the peer only', async () => {
    await remote.addMember({ name: 'n4', rpcAddr: '127.0.0.1:1' }, never);
    await remote.promoteMember('n4', never);
    await remote.removeMember('n2', never);
    expect(await remote.transferLeadership('n4', never)).toBe('n4');
    expect(await remote.transferLeadership(undefined, never)).toBe('n3');
    expect(await remote.changeSettings({ retentionBytes: 5 }, never)).toMatchObject({
      retentionBytes: 5,
      generation: 2,
    });
    expect(await remote.changeSettings({ startOffset: 900 }, never)).toEqual({ startOffset: 900 });
    expect(cluster.calls).toEqual([
      ['forwarded addMember', 'n4', '127.0.0.1:1'],
      ['forwarded promoteMember', 'n4'],
      ['forwarded removeMember', 'n2'],
      ['forwarded transferLeadership', 'n4'],
      ['forwarded transferLeadership', undefined],
      ['forwarded changeSettings', { retentionBytes: 5 }],
      ['forwarded changeSettings', { startOffset: 900 }],
    ]);
  });

  it.each([
    new MembershipError('n2 is not a learner'),
    new OutcomeUnknownError('leadership was lost'),
    new UnavailableError('no leader'),
    new UnavailableError('not the leader', '10.0.0.1:8400'),
    new InvalidInputError('bad'),
  ])('rejects with the error of the peer: %p', async (failure) => {
    cluster.failures.push(failure);
    const error = await remote.promoteMember('n2', never).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(failure.constructor);
    expect(error).toMatchObject({ message: failure.message });
    if (failure instanceof UnavailableError) expect(error).toMatchObject({ leaderAddr: failure.leaderAddr });
  });

  it('rejects with the reason of its signal, and cancels the call', async () => {
    cluster.hang = true;
    const controller = new AbortController();
    const call = remote.removeMember('n2', controller.signal);
    await until(() => cluster.hanging.length === 1);
    const reason = new DOMException('the deadline passed', 'TimeoutError');
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
    await until(() => cluster.hanging[0].aborted);
    await expect(remote.removeMember('n2', controller.signal)).rejects.toBe(reason);
    expect(cluster.calls).toHaveLength(1);
  });

  it('gives up on a peer that hangs: status unavailable, change with unknown outcome', async () => {
    cluster.hang = true;
    const hasty = new RemoteCluster(client, { statusMs: 30, changeMs: 30 });
    await expect(hasty.status({ signal: never })).rejects.toBeInstanceOf(UnavailableError);
    await expect(hasty.removeMember('n2', never)).rejects.toBeInstanceOf(OutcomeUnknownError);
  });

  it('distinguishes a peer that did not get the call from a connection lost during it', async () => {
    cluster.hang = true;
    const call = remote.removeMember('n2', never);
    await until(() => cluster.hanging.length === 1);
    await server.close(0);
    await expect(call).rejects.toBeInstanceOf(OutcomeUnknownError);
    await expect(remote.removeMember('n2', never)).rejects.toBeInstanceOf(UnavailableError);
    await expect(remote.status({ signal: never })).rejects.toBeInstanceOf(UnavailableError);
  });
});

describe('RemoteCluster with a peer that breaks the connection', () => {
  let listener: TcpServer;
  beforeEach(async () => {
    listener = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  });
  afterEach(() => {
    listener.close();
  });

  it('reports a change that never began as unavailable', async () => {
    const broken = connect((listener.address() as AddressInfo).port);
    await expect(new RemoteCluster(broken).promoteMember('n2', never)).rejects.toBeInstanceOf(UnavailableError);
    broken.close();
  });
});
