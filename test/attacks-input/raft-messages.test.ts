import { once } from 'node:events';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Client, type ClientDuplexStream, credentials, type Metadata, status } from '@grpc/grpc-js';
import { encodeMessages } from '../../src/adapters/peer/messages/raft-message-wire.js';
import { identityMetadata } from '../../src/adapters/peer/identity/peer-identity.js';
import { ClusterClient } from '../../src/client/index.js';
import { confState } from '../../src/domain/raft/conf-state.js';
import { message, type Message, type MessageType } from '../../src/domain/raft/message.js';
import { firstConfiguration } from '../../src/application/configuration/configuration.js';
import { encodeTransfer } from '../../src/application/configuration/configuration-json.js';
import { entryAt } from '../contract/peer-receiver.js';
import { eventually } from '../cluster/deadline.js';
import { Group, records } from '../raft/group.js';
import { SecureNode } from '../security/secure-node.js';

const stranger = 99;
const intruder = { id: stranger, name: 'n99', uuid: '', rpcAddr: '127.0.0.1:1' };
const data = encodeTransfer({ configuration: firstConfiguration(intruder), offset: 0, contacts: [] });
const snapshot = { data, metadata: { index: 900, term: 900, confState: confState({ voters: [stranger] }) } };

/** One of each type that could bring another term, a leader or a vote. */
function messagesOf(from: number, to: number, term: number): Message[] {
  const types: MessageType[] = [
    ...(['MsgApp', 'MsgAppResp', 'MsgVote', 'MsgVoteResp', 'MsgHeartbeat', 'MsgHeartbeatResp'] as const),
    ...(['MsgPreVote', 'MsgPreVoteResp', 'MsgTimeoutNow', 'MsgReadIndex', 'MsgForgetLeader'] as const),
  ];
  const context = Buffer.from('CampaignTransfer');
  return [
    ...types.map((type) => message({ type, from, to, term, index: 5, logTerm: term - 1, commit: 4, context })),
    ...[true, false].map((reject) => message({ type: 'MsgPreVoteResp', from, to, term, reject })),
    message({ type: 'MsgSnap', from, to, term, snapshot }),
    message({ type: 'MsgTransferLeader', from, to, term }),
  ];
}

describe('three nodes that are well', () => {
  async function shaken(hurl: (group: Group) => Promise<void> | void): Promise<void> {
    const group = await Group.of(['n1', 'n2', 'n3']);
    const leader = await group.leader();
    await group.settled(leader.node.propose(records('a')));
    const stateOf = (): unknown[] =>
      [...group.running.values()].map(({ node }) => ({
        term: node.leadership.status.hardState.term,
        lead: node.leadership.leaderId,
      }));
    const before = stateOf();
    await hurl(group);
    await group.settled(group.follower().node.propose(records('b')));
    expect(stateOf()).toEqual(before);
    for (const { fatal } of group.running.values()) expect(fatal).toEqual([]);
  }

  it.each([1, 2, 3, 1_000, 2 ** 40, Number.MAX_SAFE_INTEGER])('keep leader and term: a stranger, term %i', (term) =>
    shaken((group) => {
      for (const { node, member } of group.running.values())
        for (const each of messagesOf(stranger, member.id, term)) node.receive(each);
    }),
  );

  it.each([2 ** 40, Number.MAX_SAFE_INTEGER])('keep leader and term: a member with the term %i', (term) =>
    shaken((group) => {
      for (const { node, member } of group.running.values())
        for (const from of [1, 2, 3].filter((id) => id !== member.id))
          for (const each of messagesOf(from, member.id, term)) node.receive(each);
    }),
  );

  it('keep leader and term, and append nothing twice, when everything is said to them again', () =>
    shaken(async (group) => {
      const said: [to: number, message: Message][] = [];
      for (const { node, member } of group.running.values()) {
        const receive = node.receive.bind(node);
        node.receive = (received) => {
          said.push([member.id, received]);
          receive(received);
        };
      }
      const leader = await group.leader();
      for (const text of ['c', 'd', 'e']) await group.settled(leader.node.propose(records(text)));
      const [first, again] = [leader.node.highWatermark, [...said]];
      const nodes = [...group.running.values()];
      for (const round of [again, [...again].reverse()])
        for (const [to, each] of round) nodes.find(({ member }) => member.id === to)?.node.receive(each);
      await group.settled(leader.node.propose(records('f')));
      expect([first, leader.node.highWatermark]).toEqual([4, 5]);
    }));

  it('take a leader of whom they do not know where theirs is silent', async () => {
    const group = await Group.of(['n1', 'n2', 'n3']);
    const leader = await group.leader();
    const { node, member } = group.follower();
    for (const { member: other } of group.running.values())
      if (other.id !== member.id) group.network.cut(other.id, member.id);
    const term = leader.node.leadership.status.hardState.term + 5;
    const beat = message({ type: 'MsgHeartbeat', from: stranger, to: member.id, term });
    node.receive(beat);
    expect(node.leadership.leaderId).toBe(leader.member.id);
    await group.until(() => {
      node.receive(beat);
      return node.leadership.leaderId === stranger;
    });
    expect(node.leadership.status.hardState.term).toBe(term);
  });
});

describe('the peer service of a node', () => {
  const endings: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of endings.splice(0).reverse()) await end();
  });

  const clusterIdOf = (words: string): Buffer => Buffer.from(words.replaceAll('-', ''), 'hex');

  async function startNode(): Promise<{ node: SecureNode; cluster: ClusterClient; clusterId: Buffer }> {
    const node = await SecureNode.start();
    endings.push(() => node.stop());
    const cluster = new ClusterClient([node.rpcAddr]);
    endings.push(() => cluster.close());
    const { clusterId } = await cluster.status();
    return { node, cluster, clusterId: clusterIdOf(clusterId) };
  }

  function open(node: SecureNode, method: string, metadata: Metadata): ClientDuplexStream<Buffer, Buffer> {
    const client = new Client(node.rpcAddr, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    endings.push(() => client.close());
    const same = (bytes: Buffer): Buffer => bytes;
    const call = client.makeBidiStreamRequest(`/golog.peer.v1.PeerService/${method}`, same, same, metadata);
    call.on('error', () => undefined).on('data', () => undefined);
    return call;
  }

  const codeOf = (call: ClientDuplexStream<Buffer, Buffer>): Promise<string> =>
    new Promise((resolve) => call.once('status', ({ code }) => resolve(status[code])));

  it('lets no message change the term that is of a stranger, and survives bytes that are none', async () => {
    const { node, cluster, clusterId } = await startNode();
    const before = await cluster.status();
    const identity = { rpcAddr: '127.0.0.1:1', clusterId, from: stranger, to: 1, name: 'n99' };
    for (const lane of ['Control', 'Bulk']) {
      const call = open(node, lane, identityMetadata(identity));
      await once(call, 'metadata');
      for (const term of [1, 2, 50, 2 ** 40, Number.MAX_SAFE_INTEGER])
        for (const each of messagesOf(stranger, 1, term)) call.write(encodeMessages([each]));
      const foreign = { type: 'MsgApp', from: stranger, to: 1, term: 900, entries: [entryAt(1, 9)] } as const;
      call.write(encodeMessages([message(foreign)]));
      for (const bytes of ['ff', '0aff', '0a020800', '0a09', '8080808080808080808001'])
        call.write(Buffer.from(bytes, 'hex'));
      call.write(Buffer.alloc(200_000, 0x7b));
    }
    const malformed = (): number => node.logger.fieldsOf('peer_message_malformed').length;
    await eventually('both lanes to be read', () => (malformed() >= 14 ? true : undefined));
    const after = await cluster.status();
    expect(after.members.map(({ name, role }) => [name, role])).toEqual([['n1', 'leader']]);
    expect(after.term).toBe(before.term);
    expect(node.fatal).toBeUndefined();
  });

  it.each([
    ['of another cluster', { clusterId: Buffer.alloc(16, 9) }, 'FAILED_PRECONDITION'],
    ['to another member', { to: 2 }, 'FAILED_PRECONDITION'],
    ['in the name of the node itself', { from: 1 }, 'FAILED_PRECONDITION'],
    ['of a replica', { from: 0 }, 'FAILED_PRECONDITION'],
    ['with an id of 2^53', { from: 2 ** 53 }, 'FAILED_PRECONDITION'],
    ['with a name that leaves its folder', { name: '../n2' }, 'FAILED_PRECONDITION'],
    ['with a name of 300 bytes', { name: 'n'.repeat(300) }, 'FAILED_PRECONDITION'],
    ['with the name __proto__', { name: '__proto__' }, 'FAILED_PRECONDITION'],
    ['with an address that is none', { rpcAddr: 'unix:/run/x' }, 'FAILED_PRECONDITION'],
  ])('takes no messages %s', async (_, misfit, code) => {
    const { node, clusterId } = await startNode();
    const identity = { rpcAddr: '127.0.0.1:1', clusterId, from: stranger, to: 1, name: 'n99', ...misfit };
    for (const method of ['Control', 'Bulk', 'GetLogEnd', 'ReadEntries']) {
      const call = open(node, method, identityMetadata(identity));
      const ended = codeOf(call);
      call.end(Buffer.alloc(0));
      expect([method, await ended]).toEqual([method, code]);
    }
  });

  it('answers malformed calls as such, and goes on', async () => {
    const { node, cluster, clusterId } = await startNode();
    const identity = { rpcAddr: '127.0.0.1:1', clusterId, from: stranger, to: 1, name: 'n99' };
    for (const method of ['Append', 'Join', 'GetLogEnd', 'ReadEntries', 'FollowEntries'])
      for (const bytes of ['ff', '0aff', '7affffffff0f', '08ffffffffffffffffff01', '7b'.repeat(5_000)]) {
        const call = open(node, method, identityMetadata(identity));
        const ended = codeOf(call);
        call.write(Buffer.from(bytes, 'hex'));
        call.end();
        expect([method, bytes.slice(0, 20), await ended]).toEqual([method, bytes.slice(0, 20), 'INVALID_ARGUMENT']);
      }
    expect(node.logger.events('error').filter((event) => event !== 'peer_message_malformed')).toEqual([]);
    expect((await cluster.status()).members).toHaveLength(1);
    expect(node.fatal).toBeUndefined();
  });
});
