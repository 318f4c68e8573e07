import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { identityMetadata } from '../../src/adapters/peer/identity/peer-identity.js';
import { encodeMessages } from '../../src/adapters/peer/messages/raft-message-wire.js';
import { ClusterClient } from '../../src/client/index.js';
import { message } from '../../src/domain/raft/message.js';
import { JoinRequestSchema } from '../../src/gen/golog/peer/v1/peer_service_pb.js';
import { seededRandom } from '../../src/adapters/memory/seeded-random.js';
import { wrapCompressed } from '../../src/adapters/serf/wire/compression.js';
import { decodeStream, encodeStream } from '../../src/adapters/serf/wire/stream.js';
import { encodeSwim } from '../../src/adapters/serf/wire/swim-wire.js';
import { AttackedNode } from '../attacks/attacked-node.js';
import { packets, streams } from '../adapters/serf/captured.js';

/** Groups 6 and 8 to 10 of the attacks, by the thousand: what refuses one of them must leave nothing behind. */

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
  node = await AttackedNode.start({ grpc: {}, http: { timeouts: { keepAliveMs: 1_000 } } });
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

  it('offsets and limits at their edges in calls', () =>
    node.withstands('edges', async () => {
      const url = `http://127.0.0.1:${node.httpPort}/golog.v1.LogService/Read`;
      const ask = async (request: object): Promise<number> => {
        const headers = { 'content-type': 'application/json' };
        const answer = await fetch(url, { method: 'POST', body: JSON.stringify(request), headers });
        await answer.arrayBuffer();
        return answer.status;
      };
      for (let round = 0; round < 10; round++) {
        for (const offset of ['-1', ...[53n, 63n, 64n].flatMap((bits) => [`${2n ** bits - 1n}`, `${2n ** bits}`])])
          expect([offset, await ask({ offset })]).toEqual([offset, 400]);
        for (const limit of [0, 1, 2 ** 32 - 1]) expect(await ask({ maxRecords: limit, maxBytes: limit })).toBe(200);
        expect(await ask({ maxRecords: 2 ** 32 })).toBe(400);
      }
    }));

  it('gossip that is damaged or cut short, compounds within compounds, bombs, and accusations', async () => {
    const port = Number(node.process.gossipAddr.split(':').at(-1));
    const random = seededRandom(7);
    const damaged = (bytes: Uint8Array): Uint8Array => {
      const copy = bytes.slice(0, 1 + Math.floor(random() * bytes.length));
      copy[Math.floor(random() * copy.length)] = 256 * random();
      // None of the members that were captured is to be taken for real.
      if ([4, 7, 12].includes(copy[0] ?? 0)) copy[0] = 99;
      return copy;
    };
    const { leader: self = '' } = await statusNow();
    const nested = Array.from({ length: 100 }).reduce<Uint8Array>(
      (inner) => Uint8Array.of(7, 1, inner.length >> 8, inner.length & 0xff, ...inner),
      encodeSwim({ type: 'nack', seqNo: 1 }),
    );
    // More than is decompressed for anybody.
    const bomb = wrapCompressed(new Uint8Array(45_000_000));
    const special = [
      nested,
      bomb,
      ...[2 ** 31, 2 ** 32 - 1].map((incarnation) => encodeSwim({ type: 'dead', incarnation, node: self, from: self })),
    ];
    await node.withstands('gossip', async () => {
      const socket = createSocket('udp4');
      for (let at = 0; at < 5_000; at++) {
        const packet =
          at % 50 === 0 ? special[(at / 50) % special.length] : damaged(packets[at % packets.length].bytes);
        socket.send(packet.subarray(0, 65_000), port, '127.0.0.1');
        if (at % 100 === 0) await nextTurn();
      }
      socket.close();
      for (let at = 0; at < 200; at++) {
        const stream = connect(port, '127.0.0.1').on('error', () => undefined);
        stream.end(at % 10 === 0 ? bomb : damaged(streams[at % streams.length].bytes));
        await once(stream.resume(), 'close');
      }
    });
    const stream = connect(port, '127.0.0.1');
    stream.write(encodeStream({ type: 'ping', seqNo: 5, node: self }));
    const [answer] = (await once(stream, 'data')) as [Buffer];
    stream.destroy();
    expect(decodeStream(answer)).toMatchObject({ type: 'ack', seqNo: 5 });
    expect((await statusNow()).members.map(({ name }) => name)).toEqual([self]);
  });
});
