import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { fromBinary } from '@bufbuild/protobuf';
import { decodeMessages, encodeMessages } from '../../../src/adapters/peer/messages/raft-message-wire.js';
import { parseBatch } from '../../../src/domain/log/record-batch.js';
import { confState } from '../../../src/domain/raft/conf-state.js';
import { message } from '../../../src/domain/raft/message.js';
import {
  BulkRequestSchema,
  ControlRequestSchema,
  RaftMessageType,
} from '../../../src/gen/golog/peer/v1/peer_service_pb.js';
import { entryAt } from '../../contract/peer-receiver.js';
import { until } from '../grpc/fixture.js';
import { addressOf, checksum, startNode, stopNode, type TestNode } from './fixture.js';

const append = message({
  type: 'MsgApp',
  from: 1,
  to: 2,
  term: 2,
  logTerm: 2,
  index: 4,
  commit: 3,
  entries: [entryAt(5, 200), entryAt(6, 3)],
});

describe('the messages on the wire', () => {
  it('are those of the .proto', () => {
    const snapshot = {
      data: Uint8Array.of(1),
      metadata: { index: 4, term: 1, confState: confState({ voters: [1, 300] }) },
    };
    const messages = [append, message({ type: 'MsgSnap', from: 2 ** 35, to: 2, term: 3, snapshot })];
    for (const schema of [BulkRequestSchema, ControlRequestSchema]) {
      const request = fromBinary(schema, encodeMessages(messages));
      expect(request.messages).toMatchObject([
        { type: RaftMessageType.APPEND, from: 1n, to: 2n, term: 2n, logTerm: 2n, index: 4n, commit: 3n, reject: false },
        { type: RaftMessageType.SNAPSHOT, from: 2n ** 35n, term: 3n, snapshot: { index: 4n, term: 1n } },
      ]);
      expect(request.messages[1].snapshot?.membership?.voters).toEqual([1n, 300n]);
      const [batch] = request.messages[0].batches;
      expect(parseBatch(batch, 0, batch.length, checksum)).toMatchObject({ index: 5, term: 2 });
    }
  });

  it('carry the clocks of members, which an older release leaves out', () => {
    const shown = { incarnation: 1, term: 7, durable: { term: 6, index: 5 } };
    const notes = [
      { id: 1, ...shown, clockMs: 1_700_000_000_000 },
      { id: 2, ...shown },
    ];
    const heartbeat = { ...message({ type: 'MsgHeartbeat', from: 1, to: 2, term: 7 }), notes };
    expect(decodeMessages(encodeMessages([heartbeat]), checksum)).toMatchObject([{ notes }]);
  });

  it('are refused whole for a changed bit anywhere in a batch, and for bytes cut off', () => {
    const request = encodeMessages([append]);
    const batchesAt = request.indexOf('GLB1');
    for (let at = batchesAt; at < request.length; at += 7) {
      // The tag and the length between the batches, which no checksum covers.
      if (at > batchesAt + 252 && at < batchesAt + 264) continue;
      const changed = Uint8Array.from(request);
      changed[at] ^= 0x10;
      expect(() => decodeMessages(changed, checksum)).toThrow(expect.objectContaining({ name: 'InvalidInputError' }));
    }
    for (let length = 1; length < request.length; length += 11)
      expect(() => decodeMessages(request.subarray(0, length), checksum)).toThrow(
        expect.objectContaining({ name: 'InvalidInputError' }),
      );
  });

  it('are refused with entries that leave a gap', () => {
    const gap = { ...append, entries: [entryAt(5, 1), entryAt(7, 1)] };
    expect(() => decodeMessages(encodeMessages([gap]), checksum)).toThrow(/entry 7/);
  });
});

describe('a member whose process has ended', () => {
  it('is known to be gone at once, as its host says that nothing listens there', async () => {
    const one = await startNode(1);
    const two = await startNode(2);
    try {
      one.transport.setPeers([{ id: 2, rpcAddr: addressOf(two) }]);
      await until(() => one.transport.unansweredMs(2) === 0);
      await stopNode(two);
      await until(() => one.transport.unansweredMs(2) === Infinity);
    } finally {
      await stopNode(one);
    }
  });
});

describe('what does not fit', () => {
  let one: TestNode;
  let two: TestNode;
  beforeEach(async () => {
    [one, two] = await Promise.all([startNode(1), startNode(2)]);
    one.transport.setPeers([{ id: 2, rpcAddr: addressOf(two) }]);
  });
  afterEach(() => Promise.all([one, two].map(stopNode)));

  it('a damaged batch is dropped and logged, and the link stays', async () => {
    const foreign = entryAt(5, 10, { ...checksum, logId: new Uint8Array(16) });
    one.transport.send([{ ...append, entries: [foreign] }]);
    await until(() => two.logger.events('error').includes('peer_message_malformed'));
    one.transport.send([append]);
    await until(() => two.received.length === 1);
    expect(two.received[0].entries).toHaveLength(2);
    expect(one.lost).toEqual([]);
  });

  it('a message in the name of another member is dropped, but a transfer is passed on', async () => {
    one.transport.send([message({ type: 'MsgHeartbeat', from: 3, to: 2, term: 1 })]);
    one.transport.send([message({ type: 'MsgTransferLeader', from: 3, to: 2 })]);
    await until(() => two.received.length === 1);
    expect(two.received[0].type).toBe('MsgTransferLeader');
  });

  it('a removed member is turned out, refused, and told once a connection', async () => {
    one.transport.send([message({ type: 'MsgHeartbeat', from: 1, to: 2, term: 1 })]);
    await until(() => two.received.length === 1);
    two.transport.setPeers([{ id: 1, rpcAddr: addressOf(one) }]);
    two.transport.setPeers([{ id: 3, rpcAddr: '127.0.0.1:1' }]);
    const refusals = (): string[] =>
      one.logger.fieldsOf('peer_refused_connection').map((fields) => ('reason' in fields ? String(fields.reason) : ''));
    await until(() => refusals().length === 3);
    expect(new Set(refusals())).toEqual(new Set(['member 1 was removed']));
    await until(() => one.lost.includes(2));
    const told = one.lost.length;
    one.transport.send([message({ type: 'MsgHeartbeat', from: 1, to: 2, term: 2 })]);
    await until(() => one.lost.length > told);
    expect(two.received).toHaveLength(1);
  });

  it('a member that nobody here knows yet is let in', async () => {
    two.transport.setPeers([]);
    const five = await startNode(5);
    five.transport.setPeers([{ id: 2, rpcAddr: addressOf(two) }]);
    five.transport.send([message({ type: 'MsgHeartbeat', from: 5, to: 2, term: 1 })]);
    await until(() => two.received.length === 1);
    await stopNode(five);
  });

  it('a peer at another address is dialled there', async () => {
    const elsewhere = await startNode(2);
    one.transport.setPeers([{ id: 2, rpcAddr: addressOf(elsewhere) }]);
    one.transport.send([message({ type: 'MsgHeartbeat', from: 1, to: 2, term: 1 })]);
    await until(() => elsewhere.received.length === 1);
    expect(two.received).toEqual([]);
    await stopNode(elsewhere);
  });

  it('more bytes of appends than the bound are overload', async () => {
    const records = (): Parameters<typeof one.transport.append>[1] => ({ payload: new Uint8Array(9 << 20), count: 1 });
    const answers = [1, 2, 3, 4].map(() => one.transport.append(2, records(), {}));
    const settled = Promise.allSettled(answers);
    await expect(answers[3]).rejects.toMatchObject({ name: 'OverloadedError', limit: 32 << 20 });
    await one.transport.close();
    await settled;
  });
});
