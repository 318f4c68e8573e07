import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { create, toBinary } from '@bufbuild/protobuf';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { identityMetadata } from '../../src/adapters/peer/peer-identity.js';
import { encodeMessages } from '../../src/adapters/peer/raft-message-wire.js';
import { ClusterClient } from '../../src/client/index.js';
import { message } from '../../src/domain/raft/message.js';
import { JoinRequestSchema } from '../../src/gen/golog/peer/v1/peer_service_pb.js';
import { AttackedNode } from '../attacks/attacked-node.js';

/** Groups 6 to 9 of the attacks, by the thousand: what refuses one of them must leave nothing behind. */

const same = (bytes: Buffer): Buffer => bytes;
const garbage = ['ff', '0aff', '7affffffff0f', '08ffffffffffffffffff01', '7b'.repeat(20_000)].map((hex) =>
  Buffer.from(hex, 'hex'),
);

let node: AttackedNode;
let clusterId: Buffer;
let termBefore: number;

async function statusNow(): Promise<Awaited<ReturnType<ClusterClient['status']>>> {
  const cluster = new ClusterClient([`127.0.0.1:${node.grpcPort}`]);
  try {
    return await cluster.status();
  } finally {
    cluster.close();
  }
}

beforeAll(async () => {
  node = await AttackedNode.start({ grpc: {}, http: {} });
  const { clusterId: id, term } = await statusNow();
  [clusterId, termBefore] = [Buffer.from(id.replaceAll('-', ''), 'hex'), term];
}, 60_000);

afterAll(() => node.stop());

/** The status of a call of the peer service with these messages. */
function call(client: Client, method: string, messages: readonly Buffer[], metadata: Metadata): Promise<string> {
  return new Promise((resolve) => {
    const stream = client.makeBidiStreamRequest(`/golog.peer.v1.PeerService/${method}`, same, same, metadata);
    stream.on('error', () => undefined).on('data', () => undefined);
    stream.once('status', ({ code }) => resolve(status[code]));
    for (const each of messages) stream.write(each);
    stream.end();
  });
}

async function hurl(attack: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client(`127.0.0.1:${node.grpcPort}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  try {
    for (let round = 0; round < 20; round++) await attack(client);
  } finally {
    client.close();
  }
}

const strangerTo = (to: number, from = 99): Metadata =>
  identityMetadata({ rpcAddr: '127.0.0.1:1', clusterId, from, to, name: 'n99' });

describe('a process withstands', () => {
  it('malformed calls of peers', () =>
    node.withstands('malformed calls of peers', () =>
      hurl(async (client) => {
        for (const method of ['Append', 'Join', 'GetLogEnd', 'ReadEntries', 'FollowEntries'])
          for (const bytes of garbage)
            expect(await call(client, method, [bytes], strangerTo(1))).toBe('INVALID_ARGUMENT');
      }),
    ));

  it('Raft messages of strangers, of other clusters, of other members', async () => {
    const terms = [1, 2, 50, 2 ** 40, Number.MAX_SAFE_INTEGER];
    const said = terms.flatMap((term) =>
      (['MsgVote', 'MsgHeartbeat', 'MsgApp', 'MsgAppResp', 'MsgTimeoutNow'] as const).map((type) =>
        encodeMessages([message({ type, from: 99, to: 1, term, index: 5, logTerm: 1, commit: 4 })]),
      ),
    );
    await node.withstands('Raft messages', () =>
      hurl(async (client) => {
        const foreign = new Metadata();
        foreign.merge(strangerTo(1));
        foreign.set('golog-cluster-id-bin', Buffer.alloc(16, 9));
        expect(await call(client, 'Control', [...said, ...garbage], strangerTo(1))).toBe('OK');
        expect(await call(client, 'Bulk', said, strangerTo(1))).toBe('OK');
        expect(await call(client, 'Bulk', said, foreign)).toBe('FAILED_PRECONDITION');
        expect(await call(client, 'Control', said, strangerTo(2))).toBe('FAILED_PRECONDITION');
        expect(await call(client, 'Control', said, strangerTo(1, 1))).toBe('FAILED_PRECONDITION');
      }),
    );
    const { term, leader, members } = await statusNow();
    expect({ term, members: members.map(({ name }) => name === leader) }).toEqual({
      term: termBefore,
      members: [true],
    });
  });

  it('joiners with names that are none, of a megabyte', () =>
    node.withstands('joiners', () =>
      hurl((client) =>
        Promise.all(
          ['../n2', 'n\u0000', '__proto__', '\u001b[2J'.repeat(200_000)].map(async (name) => {
            const joiner = { name, uuid: '01234567-89ab-4cde-8f01-23456789abcd', rpcAddr: '127.0.0.1:1' };
            const request = toBinary(JoinRequestSchema, create(JoinRequestSchema, { joiner }));
            expect(await call(client, 'Join', [Buffer.from(request)], new Metadata())).toBe('INVALID_ARGUMENT');
          }),
        ),
      ),
    ));

  it('offsets and names in paths and queries, by the thousand', () =>
    node.withstands('offsets and names', async () => {
      const url = `http://127.0.0.1:${node.httpPort}`;
      const statuses = new Set<number>();
      for (let round = 0; round < 100; round++)
        for (const path of [
          ...[`/?offset=-1`, `/?offset=${2n ** 64n}`, `/?offset=${2n ** 63n}`, `/?offset=${'9'.repeat(8_000)}`],
          ...['/..%2f..%2fetc/passwd', '/ui/../../etc/passwd', '/%00', '/__proto__', `/${'x'.repeat(8_000)}`],
        ]) {
          const [answer] = (await once(get(`${url}${path}`, { agent: false }), 'response')) as [IncomingMessage];
          statuses.add(answer.statusCode ?? 0);
          await once(answer.resume(), 'close');
        }
      expect([...statuses].sort()).toEqual([400, 404]);
    }));
});
