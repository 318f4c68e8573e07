import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server as TcpServer, type Socket } from 'node:net';
import { GrpcServer } from '../../src/adapters/grpc/index.js';
import { ManualClock } from '../../src/adapters/memory/manual-clock.js';
import { MembershipError } from '../../src/application/ports/cluster.js';
import { UnavailableError } from '../../src/application/errors.js';
import { ClusterClient, OutcomeUnknownError, RpcError, UnreachableError } from '../../src/client/index.js';
import { toTerm } from '../../src/domain/log/offsets.js';
import { exampleStatus, FakeCluster } from '../adapters/grpc/fake-cluster.js';
import { FakeCommitLog } from '../adapters/grpc/fake-commit-log.js';
import { until } from '../adapters/grpc/fixture.js';
import { RecordingLogger } from '../logging/recording-logger.js';

/** Nobody listens on port 1 of the loopback. */
const nobody = '127.0.0.1:1';

class Member {
  readonly cluster = new FakeCluster();
  readonly clock = new ManualClock();
  readonly server: GrpcServer;
  address = '';

  constructor() {
    const { cluster, clock } = this;
    const options = { host: '127.0.0.1', port: 0 };
    this.server = new GrpcServer(options, new FakeCommitLog(), new RecordingLogger(), { cluster, clock });
  }

  async start(): Promise<this> {
    this.address = `127.0.0.1:${(await this.server.listen()).port}`;
    return this;
  }
}

let first: Member;
let second: Member;
const clients: ClusterClient[] = [];

function clientOf(...addresses: string[]): ClusterClient {
  const client = new ClusterClient(addresses);
  clients.push(client);
  return client;
}

beforeEach(async () => {
  first = await new Member().start();
  second = await new Member().start();
  second.cluster.current = { ...exampleStatus, answeredBy: 'n2' };
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await Promise.all([first.server.close(0), second.server.close(0)]);
});

const failureOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => 'no failure',
    (error: unknown) => error,
  );

describe('ClusterClient', () => {
  it('gives the status in full', async () => {
    const status = await clientOf(first.address).status();
    expect(status).toEqual({
      ...exampleStatus,
      members: exampleStatus.members.map((member) => ({
        matchIndex: undefined,
        lagEntries: undefined,
        heardMsAgo: undefined,
        ...member,
      })),
    });
  });

  it('lists the servers', async () => {
    expect(await clientOf(first.address).servers()).toHaveLength(2);
  });

  it('tries the next address when no server answers, and remembers the one that did', async () => {
    const client = clientOf(nobody, second.address, first.address);
    expect((await client.status()).answeredBy).toBe('n2');
    await client.addMember('n4', '10.0.0.4:8400');
    expect(second.cluster.calls).toEqual([
      ['status', 'leader'],
      ['addMember', 'n4', '10.0.0.4:8400'],
    ]);
    expect(first.cluster.calls).toEqual([]);
  });

  it('reports why one address cannot be reached, and for several that no server answers', async () => {
    const one = await failureOf(clientOf(nobody).status());
    expect(one).toBeInstanceOf(UnreachableError);
    expect(one).toMatchObject({ message: `cannot reach ${nobody}: ECONNREFUSED` });
    const two = await failureOf(clientOf(nobody, '127.0.0.1:2').status());
    expect(two).toMatchObject({ message: `cannot reach ${nobody}, 127.0.0.1:2: no server answers` });
  });

  it('follows the leader hint of a server', async () => {
    first.cluster.failures.push(new UnavailableError('not the leader', second.address));
    await clientOf(first.address).removeMember('n3');
    expect(second.cluster.calls).toEqual([['removeMember', 'n3']]);
  });

  it('does not follow leader hints in circles', async () => {
    first.cluster.failures.push(new UnavailableError('not me', second.address));
    second.cluster.failures.push(new UnavailableError('not me either', first.address));
    const error = await failureOf(clientOf(first.address).removeMember('n3'));
    expect(error).toMatchObject({ code: 'UNAVAILABLE', message: 'not me either' });
    expect([first.cluster.calls.length, second.cluster.calls.length]).toEqual([1, 1]);
  });

  it('prefers the refusal of a server to an unreachable server', async () => {
    first.cluster.failures.push(new UnavailableError('no leader'));
    const error = await failureOf(clientOf(first.address, nobody).transferLeadership());
    expect(error).toBeInstanceOf(RpcError);
    expect(error).toMatchObject({ code: 'UNAVAILABLE', message: 'no leader' });
  });

  it('tries no other server after a refusal that others would repeat', async () => {
    first.cluster.failures.push(new MembershipError('n2 is no learner'));
    const error = await failureOf(clientOf(first.address, second.address).promoteMember('n2'));
    expect(error).toMatchObject({ code: 'FAILED_PRECONDITION', message: 'n2 is no learner' });
    expect(second.cluster.calls).toEqual([]);
  });

  it('cancels the call when its signal aborts, and rejects with the reason', async () => {
    first.cluster.hang = true;
    const controller = new AbortController();
    const failure = failureOf(clientOf(first.address, second.address).removeMember('n3', controller.signal));
    await until(() => first.cluster.hanging.length === 1);
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await failure).toBe(reason);
    await until(() => first.cluster.hanging[0].aborted);
    expect(second.cluster.calls).toEqual([]);
  });
});

describe('a server that is lost during a call', () => {
  let listener: TcpServer;
  let sockets: Socket[];
  let address: string;
  /** Proxies connections to the second member; `lose` closes them once a call is in progress there. */
  beforeEach(async () => {
    sockets = [];
    const port = Number(second.address.split(':')[1]);
    listener = createServer((socket) => {
      sockets.push(socket);
      void import('node:net').then(({ connect }) => {
        const onward = connect(port, '127.0.0.1');
        socket.pipe(onward).pipe(socket);
        for (const end of [socket, onward]) end.on('error', () => undefined);
        socket.on('close', () => onward.destroy());
      });
    }).listen(0, '127.0.0.1');
    await once(listener, 'listening');
    address = `127.0.0.1:${(listener.address() as AddressInfo).port}`;
    second.cluster.hang = true;
  });
  afterEach(() => {
    listener.close();
  });
  const lose = async (): Promise<void> => {
    await until(() => second.cluster.hanging.length === 1);
    for (const socket of sockets) socket.destroy();
  };

  it('repeats a read at another server', async () => {
    const status = clientOf(address, first.address).status();
    await lose();
    expect((await status).answeredBy).toBe('n1');
  });

  it('does not repeat a change', async () => {
    const failure = failureOf(clientOf(address, first.address).addMember('n4', '10.0.0.4:8400'));
    await lose();
    expect(await failure).toBeInstanceOf(OutcomeUnknownError);
    expect(first.cluster.calls).toEqual([]);
  });
});

describe('a server that accepts connections but does not answer, as a stopped process does', () => {
  let listener: TcpServer;
  let address: string;
  const sockets: Socket[] = [];
  beforeEach(async () => {
    listener = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
    await once(listener, 'listening');
    address = `127.0.0.1:${(listener.address() as AddressInfo).port}`;
  });
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy();
    listener.close();
  });

  it('makes a change at the next server', async () => {
    await clientOf(address, first.address).removeMember('n3');
    expect(first.cluster.calls).toEqual([['removeMember', 'n3']]);
  });

  it('does not delay an abort', async () => {
    const controller = new AbortController();
    const failure = failureOf(clientOf(address).status({ signal: controller.signal }));
    await until(() => sockets.length === 1);
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await failure).toBe(reason);
  });
});

describe('watch', () => {
  it('yields each state, continues at another server, and ends on abort', async () => {
    const controller = new AbortController();
    const lost: unknown[] = [];
    const seen: string[] = [];
    const client = clientOf(first.address, second.address);
    for await (const { answeredBy, term } of client.watch({
      signal: controller.signal,
      onLost: (reason) => lost.push(reason),
    })) {
      seen.push(`${answeredBy} ${term}`);
      if (seen.length === 1) {
        first.cluster.current = { ...exampleStatus, term: toTerm(8) };
        await until(() => first.clock.pending === 1);
        first.clock.advance(250);
      }
      if (seen.length === 2) await first.server.close(0);
      if (seen.length === 3) controller.abort();
    }
    expect(seen).toEqual(['n1 7', 'n1 8', 'n2 7']);
    expect(lost).toHaveLength(1);
    await until(() => second.clock.pending === 0);
  });

  it.each([false, true])('continues at a member that a status named, unless it is local (%s)', async (local) => {
    const addresses = [first.address, second.address];
    const members = exampleStatus.members.slice(0, 2).map((member, i) => ({ ...member, rpcAddr: addresses[i] }));
    first.cluster.current = first.cluster.localView = { ...exampleStatus, members };
    const controller = new AbortController();
    const onLost = (): void => {
      if (local) controller.abort();
    };
    const seen: string[] = [];
    for await (const { answeredBy } of clientOf(first.address).watch({ local, signal: controller.signal, onLost })) {
      seen.push(answeredBy);
      if (seen.length === 1) await first.server.close(0);
      else controller.abort();
    }
    expect(seen).toEqual(local ? ['n1'] : ['n1', 'n2']);
  });

  it('throws at once when no server answers at the start', async () => {
    const states = clientOf(nobody).watch();
    expect(await failureOf(states.next())).toBeInstanceOf(UnreachableError);
  });

  it('leaves no call open when its reader stops', async () => {
    for await (const { term } of clientOf(first.address).watch()) {
      expect(term).toBe(7);
      break;
    }
    await until(() => first.clock.pending === 0);
  });
});
