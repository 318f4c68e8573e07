import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { entryOfBatch } from '../../src/application/raft/batch-entry.js';
import { emptyConfiguration } from '../../src/application/configuration/configuration.js';
import { encodeTransfer } from '../../src/application/configuration/configuration-json.js';
import {
  OutcomeUnknownError,
  OverloadedError,
  QuorumDiskFullError,
  UnavailableError,
} from '../../src/application/errors.js';
import type { AppendReceipt, ProposeOptions } from '../../src/application/ports/consensus.js';
import type { JoinAnswer, JoinHandler, Joiner, JoinTransport } from '../../src/application/ports/join-transport.js';
import type { PeerReceiver, PeerTransport } from '../../src/application/ports/peer-transport.js';
import {
  CorruptRangeError,
  DamagedEndError,
  DiskReserveError,
  ExpectedOffsetMismatchError,
  InvalidInputError,
  TooLargeError,
} from '../../src/domain/log/errors.js';
import { toEpochMs, toIndex, toOffset, toTerm } from '../../src/domain/log/offsets.js';
import { BatchKind, type Records, type BatchChecksum, sealBatch } from '../../src/domain/log/record-batch.js';
import { frameRecords } from '../../src/domain/log/records.js';
import { confState } from '../../src/domain/raft/conf-state.js';
import type { Entry } from '../../src/domain/raft/entry.js';
import { message, type Message } from '../../src/domain/raft/message.js';

/** The links of one node, and its address. */
export interface NodeUnderTest {
  readonly rpcAddr: string;
  readonly transport: PeerTransport;
  setJoinHandler(desk: JoinHandler): void;
  /** Bytes queued for that member anywhere in this process. */
  waitingBytes(to: number): number;
  /** Ends the node as a crash does; `node` may be called again for its name, which gives the same address. */
  stop(): Promise<void>;
}

export interface NetworkUnderTest {
  node(name: string, checksum: BatchChecksum): Promise<NodeUnderTest>;
  readonly joinTransport: JoinTransport;
  /** Returns a HOST:PORT that accepts connections, or that no node is at, and never answers. */
  hole(): Promise<string>;
  /** Drops everything to and from the node until `heal`. */
  cut(name: string): void;
  heal(): void;
  /** The node reads nothing until `resume`. */
  stall(name: string): void;
  resume(name: string): void;
  close(): Promise<void>;
}

export const checksum: BatchChecksum = { crc32c, logId: new Uint8Array(16).fill(7) };
const limits = { recordBytesMax: 16 << 20, batchBytesMax: 16 << 20 };

export function entryAt(index: number, payloadBytes: number, by = checksum): Entry {
  const { payload } = recordsOf(payloadBytes);
  const position = { index: toIndex(index), term: toTerm(2), baseOffset: toOffset(index), appendTimeMs: toEpochMs(5) };
  return entryOfBatch(sealBatch({ kind: BatchKind.records, recordCount: 1, payload, ...position }, by));
}

/** One record: `log.v1.Record { value }`. */
export function recordsOf(valueBytes: number): Records {
  const head = [0x0a];
  for (let rest = valueBytes; ; rest >>>= 7) {
    head.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
    if (rest <= 0x7f) break;
  }
  return frameRecords([Buffer.concat([Uint8Array.from(head), Buffer.alloc(valueBytes, 0x61)])], limits);
}

/** The members that a joiner, or a follower whose log ends before the log start, is told about. */
const transfer = encodeTransfer({ configuration: emptyConfiguration, offset: 0, contacts: [] });

export const receipt: AppendReceipt = {
  baseOffset: toOffset(41),
  recordCount: 1,
  term: toTerm(3),
  index: toIndex(9),
  syncedOn: ['n1', 'n2'],
};

export class Receiver implements PeerReceiver {
  readonly messages: Message[] = [];
  readonly lost: number[] = [];
  readonly appends: { records: Records; options: ProposeOptions }[] = [];
  answer: () => Promise<AppendReceipt> = () => Promise.resolve(receipt);

  receive(received: Message): void {
    this.messages.push(received);
  }
  unreachable(id: number): void {
    this.lost.push(id);
  }
  appendForwarded(records: Records, options: ProposeOptions): Promise<AppendReceipt> {
    this.appends.push({ records, options });
    return this.answer();
  }
  ofType(type: Message['type']): Message[] {
    return this.messages.filter((each) => each.type === type);
  }
}

export async function until(condition: () => boolean, what = condition.toString()): Promise<void> {
  const giveUpAt = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > giveUpAt) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

export const beat = (commit: number): Message => message({ type: 'MsgHeartbeat', from: 1, to: 2, term: 2, commit });
export const append = (...entries: Entry[]): Message =>
  message({ type: 'MsgApp', from: 1, to: 2, term: 2, logTerm: 2, index: entries[0].index - 1, entries });

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

    describe('forwarded appends', () => {
      const forward = (records = recordsOf(3), options: ProposeOptions = {}): Promise<AppendReceipt> =>
        one.transport.append(2, records, options);

      it('are made at the leader in order, and answered', async () => {
        const sizes = Array.from({ length: 50 }, (_, n) => n + 1);
        const answers = sizes.map((size) => forward(recordsOf(size), { expectedOffset: toOffset(size) }));
        expect(await Promise.all(answers)).toEqual(sizes.map(() => receipt));
        expect(atTwo.appends.map(({ options }) => options.expectedOffset)).toEqual(sizes);
        expect([...atTwo.appends[4].records.payload]).toEqual([...recordsOf(5).payload]);
        expect(atTwo.appends[4].records.count).toBe(1);
      });

      it.each([
        new UnavailableError('no leader'),
        new UnavailableError('elsewhere', '10.0.0.1:8400'),
        new OutcomeUnknownError('stepped down'),
        new OverloadedError('waiting appends', 8),
        new ExpectedOffsetMismatchError(4, toOffset(9)),
        new TooLargeError('batch', 9, 8),
        new TooLargeError('record', 9, 8, 3),
        new InvalidInputError('no records'),
        new DiskReserveError(1, 2),
        new QuorumDiskFullError(['n2', 'n3']),
        new CorruptRangeError(toOffset(3), toOffset(6), 'bad checksum'),
        new DamagedEndError(toOffset(3), toOffset(6), 'bad checksum'),
      ])('reject with the error of the leader: $name', async (error) => {
        atTwo.answer = () => Promise.reject(error);
        const found: unknown = await forward().catch((reason: unknown) => reason);
        expect(found).toBeInstanceOf(error.constructor);
        expect(found).toEqual(error);
        expect({ ...(found as Error) }).toEqual({ ...error });
      });

      it('have an unknown outcome when the link breaks', async () => {
        atTwo.answer = () => new Promise(() => undefined);
        const answer = forward();
        answer.catch(() => undefined);
        await until(() => atTwo.appends.length === 1);
        network.cut('two');
        await expect(answer).rejects.toBeInstanceOf(OutcomeUnknownError);
      });

      it('are rejected as not started if there is no link', async () => {
        await expect(one.transport.append(5, recordsOf(1), {})).rejects.toBeInstanceOf(UnavailableError);
        await two.stop();
        await until(() => {
          one.transport.send([beat(1)]);
          return atOne.lost.length > 0;
        });
        let error: unknown;
        const giveUpAt = Date.now() + 10_000;
        do error = await forward().catch((reason: unknown) => reason);
        while (error instanceof OutcomeUnknownError && Date.now() < giveUpAt);
        expect(error).toBeInstanceOf(UnavailableError);
      });

      it('end with the links', async () => {
        atTwo.answer = () => new Promise(() => undefined);
        const answer = forward();
        answer.catch(() => undefined);
        await until(() => atTwo.appends.length === 1);
        await one.transport.close();
        await expect(answer).rejects.toBeInstanceOf(OutcomeUnknownError);
        await expect(forward()).rejects.toBeInstanceOf(UnavailableError);
      });
    });

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
