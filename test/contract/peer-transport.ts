import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { emptyConfiguration } from '../../src/application/configuration/configuration.js';
import { encodeTransfer } from '../../src/application/configuration/configuration-json.js';
import { UnavailableError } from '../../src/application/errors.js';
import type { JoinAnswer, Joiner } from '../../src/application/ports/join-transport.js';
import { confState } from '../../src/domain/raft/conf-state.js';
import { message } from '../../src/domain/raft/message.js';

import { describeForwardedCalls } from './forwarded-calls.js';
import {
  append,
  beat,
  checksum,
  entryAt,
  type NetworkUnderTest,
  type NodeUnderTest,
  Receiver,
  until,
} from './peer-receiver.js';

/** The members that a joiner, or a follower whose log ends before the log start, is told about. */
const transfer = encodeTransfer({ configuration: emptyConfiguration, offset: 0, contacts: [] });

/** The contract of every `PeerTransport` and its `JoinTransport`. `make` returns an empty network for each test. */
export function describePeerTransport(name: string, make: () => Promise<NetworkUnderTest>): void {
  describe(`${name} as a PeerTransport`, () => {
    let network: NetworkUnderTest;
    let one: NodeUnderTest;
    let two: NodeUnderTest;
    let atOne: Receiver;
    let atTwo: Receiver;

    const startTwo = async (id = 2, by = checksum): Promise<void> => {
      two = await network.node('two', by);
      atTwo = new Receiver();
      two.transport.start({ id, rpcAddr: two.rpcAddr }, atTwo);
      two.transport.setPeers([{ id: 1, rpcAddr: one.rpcAddr }]);
    };
    const connect = async (): Promise<void> => {
      const probe = (term: number): void => {
        one.transport.send([{ ...beat(0), term }, message({ type: 'MsgSnap', from: 1, to: 2, term, snapshot })]);
      };
      const arrived = (term: number): boolean =>
        (['MsgHeartbeat', 'MsgSnap'] as const).every((type) => atTwo.ofType(type).some((each) => each.term === term));
      await until(() => {
        probe(1);
        return arrived(1);
      }, 'the nodes reach each other');
      probe(3);
      await until(() => arrived(3), 'all that was sent before has come');
      atOne.lost.length = 0;
      atTwo.messages.length = 0;
    };
    const snapshot = { data: transfer, metadata: { index: 4, term: 1, confState: confState({}) } };

    beforeEach(async () => {
      network = await make();
      one = await network.node('one', checksum);
      atOne = new Receiver();
      one.transport.start({ id: 1, rpcAddr: one.rpcAddr }, atOne);
      await startTwo();
      one.transport.setPeers([{ id: 2, rpcAddr: two.rpcAddr }]);
      await connect();
    });
    afterEach(async () => {
      await one.transport.close();
      await two.transport.close();
      await network.close();
    });

    it('answers an unknown member at the address that it names', async () => {
      const seven = await network.node('seven', checksum);
      const atSeven = new Receiver();
      seven.transport.start({ id: 7, rpcAddr: seven.rpcAddr }, atSeven);
      seven.transport.setPeers([{ id: 2, rpcAddr: two.rpcAddr }]);
      await until(() => {
        seven.transport.send([message({ type: 'MsgHeartbeat', from: 7, to: 2, term: 5 })]);
        two.transport.send([message({ type: 'MsgHeartbeatResp', from: 2, to: 7, term: 5 })]);
        return atSeven.ofType('MsgHeartbeatResp').length > 0;
      }, 'the answer came');
      await seven.transport.close();
    });

    it('delivers each lane in order, each message once', async () => {
      for (let n = 1; n <= 500; n++) one.transport.send([beat(n), append(entryAt(n, 100))]);
      await until(() => atTwo.messages.length >= 1000);
      expect(atTwo.ofType('MsgHeartbeat').map(({ commit }) => commit)).toEqual(
        Array.from({ length: 500 }, (_, n) => n + 1),
      );
      expect(atTwo.ofType('MsgApp').map(({ index }) => index)).toEqual(Array.from({ length: 500 }, (_, n) => n));
      expect(atOne.lost).toEqual([]);
    });

    it('delivers nothing within the call that sends', async () => {
      one.transport.send([beat(1)]);
      expect(atTwo.messages).toEqual([]);
      await until(() => atTwo.messages.length === 1);
    });

    it('an empty append does not overtake one with entries', async () => {
      one.transport.send([append(entryAt(1, 1 << 20)), message({ type: 'MsgApp', from: 1, to: 2, term: 2, index: 1 })]);
      await until(() => atTwo.messages.length === 2);
      expect(atTwo.messages.map(({ entries }) => entries.length)).toEqual([1, 0]);
    });

    it('delivers every field, and copies of the entries', async () => {
      const entries = [entryAt(7, 10), entryAt(8, 0)];
      const full = {
        confState: confState({
          voters: [1, 2],
          votersOutgoing: [3],
          learners: [4],
          learnersNext: [5],
          autoLeave: true,
        }),
      };
      const sent = [
        append(...entries),
        message({
          type: 'MsgSnap',
          from: 1,
          to: 2,
          term: 3,
          snapshot: { ...snapshot, metadata: { index: 2 ** 40, term: 6, ...full } },
        }),
        message({
          type: 'MsgAppResp',
          from: 1,
          to: 2,
          term: 3,
          index: 2 ** 50,
          reject: true,
          rejectHint: 5,
          logTerm: 4,
        }),
        message({ type: 'MsgHeartbeat', from: 1, to: 2, term: 3, context: Uint8Array.of(9), commit: 4 }),
        message({ type: 'MsgVote', from: 1, to: 2, term: 3, context: new Uint8Array(0) }),
        message({
          type: 'MsgReadIndex',
          from: 1,
          to: 2,
          entries: [{ term: 0, index: 0, type: 'normal', data: Uint8Array.of(1) }],
        }),
      ];
      one.transport.send(sent);
      await until(() => atTwo.messages.length === sent.length);
      for (const each of sent) expect(plain(atTwo.ofType(each.type)[0])).toEqual(plain(each));
      const [received] = atTwo.ofType('MsgApp');
      for (const [i, entry] of received.entries.entries()) {
        expect(entry).not.toBe(entries[i]);
        expect(entry.batch?.index).toBe(entry.index);
      }
    });

    it('delivers 8 MiB in a message, and control messages in the meantime', async () => {
      one.transport.send([append(entryAt(1, 8 << 20)), beat(1)]);
      await until(() => atTwo.messages.length === 2);
      expect(atTwo.ofType('MsgApp')[0].entries[0].data.length).toBeGreaterThan(8 << 20);
    });

    it('reports a cut, and continues after it', async () => {
      network.cut('two');
      await until(() => {
        one.transport.send([beat(1), append(entryAt(1, 10))]);
        return atOne.lost.length > 0;
      });
      expect(new Set(atOne.lost)).toEqual(new Set([2]));
      network.heal();
      await connect();
    });

    it('reports a member that it has no link to', async () => {
      one.transport.send([{ ...beat(1), to: 5 }]);
      expect(atOne.lost).toEqual([]);
      await until(() => atOne.lost.includes(5));
      one.transport.setPeers([]);
      one.transport.send([beat(1)]);
      await until(() => atOne.lost.includes(2));
    });

    it('drops what a stalled receiver cannot read, and queues no more than the bound', async () => {
      network.stall('two');
      for (let n = 1; n <= 64; n++) {
        one.transport.send([append(entryAt(n, 1 << 20))]);
        await new Promise((resolve) => setImmediate(resolve));
        expect(one.waitingBytes(2)).toBeLessThanOrEqual((25 << 20) + 1024);
      }
      await until(() => atOne.lost.includes(2));
      network.resume('two');
      await connect();
    });

    it('knows whether a process answers as the member at its address', async () => {
      expect(one.transport.unansweredMs(2)).toBe(0);
      expect(one.transport.unansweredMs(7)).toBe(Infinity);
      await two.stop();
      await until(() => one.transport.unansweredMs(2) > 0);
      // Another member at the address does not count.
      await startTwo(3);
      atOne.lost.length = 0;
      await until(() => {
        one.transport.send([beat(1)]);
        return atOne.lost.includes(2);
      });
      expect(one.transport.unansweredMs(2)).toBeGreaterThan(0);
      await two.stop();
      await startTwo();
      one.transport.setPeers([]);
      one.transport.setPeers([{ id: 2, rpcAddr: two.rpcAddr }]);
      await until(() => one.transport.unansweredMs(2) === 0);
    });

    it('reaches a member that comes back at its address', async () => {
      await two.stop();
      one.transport.send([beat(1)]);
      await until(() => {
        one.transport.send([beat(1)]);
        return atOne.lost.length > 0;
      });
      await startTwo();
      await connect();
    });

    it('is refused by another cluster, and by another member at the address', async () => {
      for (const [id, by] of [
        [2, { crc32c, logId: new Uint8Array(16) }],
        [3, checksum],
      ] as const) {
        await two.stop();
        await startTwo(id, by);
        atOne.lost.length = 0;
        await until(() => {
          one.transport.send([beat(1), append(entryAt(1, 10))]);
          return atOne.lost.length > 0;
        });
        expect(atTwo.messages).toEqual([]);
      }
    });

    describeForwardedCalls(() => ({ network, one, two, atOne, atTwo }));

    describe('joining', () => {
      const joiner: Joiner = {
        name: 'n3',
        uuid: '33333333-0000-4000-8000-000000000003',
        rpcAddr: '10.0.0.3:8400',
        bootstrapExpect: 3,
      };
      const { signal } = new AbortController();

      it.each<JoinAnswer>([
        { kind: 'joined', clusterId: new Uint8Array(16).fill(7), id: 3, configuration: transfer },
        { kind: 'waiting', joiner: { ...joiner, name: 'n2' } },
        { kind: 'retry', reason: 'not the leader', leaderAddr: '10.0.0.1:8400' },
        { kind: 'retry', reason: 'no leader' },
        { kind: 'refused', reason: 'the name is taken' },
      ])('is answered $kind', async (answer) => {
        const asked: Joiner[] = [];
        two.setJoinHandler({
          admit: (by) => {
            asked.push(by);
            return Promise.resolve(answer);
          },
        });
        expect(await network.joinTransport.ask(two.rpcAddr, joiner, signal)).toEqual(answer);
        expect(asked).toEqual([joiner]);
      });

      it('is unavailable if no node answers, and ends at an abort', async () => {
        two.setJoinHandler({ admit: () => new Promise(() => undefined) });
        const controller = new AbortController();
        const answer = network.joinTransport.ask(two.rpcAddr, joiner, controller.signal);
        answer.catch(() => undefined);
        const reason = new Error('enough');
        setImmediate(() => {
          controller.abort(reason);
        });
        await expect(answer).rejects.toBe(reason);
        await two.stop();
        await expect(network.joinTransport.ask(two.rpcAddr, joiner, signal)).rejects.toBeInstanceOf(UnavailableError);
      });
    });
  });
}

/** Plain arrays, because a `Buffer` and a `Uint8Array` of the same bytes are not equal to Jest. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_key, each: unknown) => (each instanceof Uint8Array ? [...each] : each)));
}
