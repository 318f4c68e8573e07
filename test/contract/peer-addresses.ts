import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { message } from '../../src/domain/raft/message.js';
import {
  append,
  beat,
  checksum,
  entryAt,
  type NetworkUnderTest,
  type NodeUnderTest,
  receipt,
  Receiver,
  recordsOf,
  until,
} from './peer-receiver.js';

/** The contract of every `PeerTransport` for a member that may be at other addresses than the configured one. */
export function describePeerAddresses(name: string, make: () => Promise<NetworkUnderTest>): void {
  describe(`${name}: a member with several addresses`, () => {
    let network: NetworkUnderTest;
    let one: NodeUnderTest;
    let atOne: Receiver;
    /** The configured HOST:PORT of the member, where no node runs. */
    let former: string;
    const uuid = '22222222-0000-4000-8000-000000000002';
    let moved: NodeUnderTest;
    let atMoved: Receiver;
    const others: NodeUnderTest[] = [];

    const startAs = async (name: string, id: number, of = uuid, by = checksum): Promise<[NodeUnderTest, Receiver]> => {
      const node = await network.node(name, by);
      const receiver = new Receiver();
      node.transport.start({ id, rpcAddr: node.rpcAddr, uuid: of }, receiver);
      // It reaches no node: a caller would be answered at the address that it gives.
      node.transport.setPeers([{ id: 1, rpcAddr: await network.hole() }]);
      others.push(node);
      return [node, receiver];
    };
    const arrives = (): Promise<void> =>
      until(() => {
        one.transport.send([beat(1), append(entryAt(1, 10))]);
        return atMoved.ofType('MsgHeartbeat').length > 0 && atMoved.ofType('MsgApp').length > 0;
      }, 'a message has arrived at the member');

    beforeEach(async () => {
      network = await make();
      one = await network.node('one', checksum);
      atOne = new Receiver();
      one.transport.start({ id: 1, rpcAddr: one.rpcAddr }, atOne);
      const two = await network.node('two', checksum);
      former = two.rpcAddr;
      await two.stop();
      [moved, atMoved] = await startAs('moved', 2);
    });
    afterEach(async () => {
      for (const node of [one, ...others.splice(0)]) await node.transport.close();
      await network.close();
    });

    it('is found at an address where gossip sees it', async () => {
      one.transport.setPeers([{ id: 2, rpcAddr: former, seenAt: [moved.rpcAddr], uuid }]);
      await arrives();
      await until(() => one.transport.unansweredMs(2) === 0);
      expect(one.transport.unansweredMs(2, (at) => at === moved.rpcAddr)).toBe(0);
      await until(() => one.transport.unansweredMs(2, (at) => at === former) > 0);
      expect(await one.transport.append(2, recordsOf(3), {})).toEqual(receipt);
    });

    it('is found while other addresses neither answer nor refuse', async () => {
      const holes = await Promise.all(Array.from({ length: 5 }, () => network.hole()));
      one.transport.setPeers([{ id: 2, rpcAddr: holes[0], seenAt: [...holes.slice(1), moved.rpcAddr], uuid }]);
      await arrives();
    });

    it.each([
      ['another member', 3, '33333333-0000-4000-8000-000000000003', checksum],
      ['another data directory under its Raft id', 2, '33333333-0000-4000-8000-000000000003', checksum],
      ['a node of another cluster', 2, uuid, { crc32c, logId: new Uint8Array(16) }],
    ])('is told from %s, at its configured address and at one where gossip sees it', async (_other, id, of, by) => {
      const [, atFormer] = await startAs('two', id, of, by);
      const [forged, atForged] = await startAs('forged', id, of, by);
      one.transport.setPeers([{ id: 2, rpcAddr: former, seenAt: [forged.rpcAddr, moved.rpcAddr], uuid }]);
      await arrives();
      expect([...atFormer.messages, ...atForged.messages]).toEqual([]);
    });

    it('stays connected when gossip sees it elsewhere, and is dropped when its configured address changes', async () => {
      one.transport.setPeers([{ id: 2, rpcAddr: former, seenAt: [moved.rpcAddr], uuid }]);
      await arrives();
      await until(() => one.transport.unansweredMs(2) === 0);
      atOne.lost.length = 0;
      one.transport.setPeers([{ id: 2, rpcAddr: former, seenAt: [await network.hole()], uuid }]);
      atMoved.messages.length = 0;
      one.transport.send([beat(2)]);
      await until(() => atMoved.ofType('MsgHeartbeat').length > 0);
      expect(atOne.lost).toEqual([]);
      one.transport.setPeers([{ id: 2, rpcAddr: await network.hole(), uuid }]);
      await until(() => {
        one.transport.send([beat(3)]);
        return atOne.lost.length > 0;
      }, 'the node there is no longer used as the member');
      one.transport.setPeers([{ id: 2, rpcAddr: moved.rpcAddr, uuid }]);
      atMoved.messages.length = 0;
      await arrives();
    });

    it('is answered at the address that it calls from', async () => {
      one.transport.setPeers([{ id: 2, rpcAddr: former, uuid }]);
      moved.transport.setPeers([{ id: 1, rpcAddr: one.rpcAddr }]);
      await until(() => {
        moved.transport.send([message({ type: 'MsgHeartbeatResp', from: 2, to: 1, term: 2 })]);
        return atOne.ofType('MsgHeartbeatResp').length > 0;
      });
      await arrives();
    });
  });
}
