import { ChannelCredentials } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { AppendReceipt } from '../../../src/application/ports/consensus.js';
import { toIndex, toOffset, toTerm } from '../../../src/domain/log/offsets.js';
import { encodeRecord } from '../../../src/domain/log/record.js';
import { defaultRecordLimits, frameRecords } from '../../../src/domain/log/records.js';
import { message } from '../../../src/domain/raft/message.js';
import { until } from '../grpc/fixture.js';
import { addressOf, checksum, startNode, stopNode, type TestNode } from './fixture.js';

const heartbeat = message({ type: 'MsgHeartbeat', from: 1, to: 2, term: 1 });
const records = frameRecords([encodeRecord({ value: Uint8Array.of(1) })], defaultRecordLimits);
const receiptAt = (offset: number): AppendReceipt => ({
  ...{ baseOffset: toOffset(offset), recordCount: 1, index: toIndex(offset + 1), term: toTerm(1) },
  syncedOn: [],
});

/** Those of each connection that was made; in clear, and outdated when the test says so. */
let made: { isOutdated: boolean }[];
let answers: ((receipt: AppendReceipt) => void)[];
let near: TestNode;
let far: TestNode;

const outdate = (): void => {
  for (const each of made) each.isOutdated = true;
};
/** Resolves when the peer has what was sent on each lane, so that all of them are open. */
const inTouch = (): Promise<void> =>
  until(() => {
    near.transport.send([heartbeat]);
    return far.received.length > 0;
  });

beforeEach(async () => {
  [made, answers] = [[], []];
  const credentials = () => {
    const own = Object.assign(ChannelCredentials.createInsecure(), { isOutdated: false });
    made.push(own);
    return own;
  };
  near = await startNode(1, {}, checksum, { credentials });
  far = await startNode(2, {}, checksum, { append: () => new Promise((resolve) => answers.push(resolve)) });
  near.transport.setPeers([{ id: 2, rpcAddr: addressOf(far) }]);
  far.transport.setPeers([{ id: 1, rpcAddr: addressOf(near) }]);
  await inTouch();
});
afterEach(async () => {
  await Promise.all([near, far].map(stopNode));
});

describe('a link whose certificate was replaced', () => {
  it('is made anew for the next append when those before are answered, and loses none', async () => {
    const first = [near.transport.append(2, records, {}), near.transport.append(2, records, {})];
    await until(() => answers.length === 2);
    outdate();
    const before = made.length;
    const second = [near.transport.append(2, records, {}), near.transport.append(2, records, {})];
    answers[0](receiptAt(0));
    await expect(first[0]).resolves.toMatchObject({ baseOffset: 0 });
    expect([answers.length, made.length]).toEqual([2, before]);
    answers[1](receiptAt(1));
    await expect(first[1]).resolves.toMatchObject({ baseOffset: 1 });
    await until(() => answers.length === 4);
    expect(made.length).toBe(before + 1);
    [2, 3].forEach((place) => answers[place](receiptAt(place)));
    await expect(Promise.all(second)).resolves.toMatchObject([{ baseOffset: 2 }, { baseOffset: 3 }]);
  });

  it('is made anew with the next message, and those before are told as lost', async () => {
    outdate();
    const before = made.length;
    far.received.length = 0;
    await inTouch();
    expect(made.length).toBe(before + 1);
    expect(near.lost).toContain(2);
  });
});
