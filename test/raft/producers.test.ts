import { describe, expect, it } from '@jest/globals';
import { FeatureNotEnabledError } from '../../src/application/ports/cluster.js';
import { ExpectedOffsetMismatchError } from '../../src/domain/log/errors.js';
import { toOffset } from '../../src/domain/log/offsets.js';
import {
  ProducerConflictError,
  ProducerFencedError,
  ProducerSequenceGapError,
} from '../../src/domain/log/producer-errors.js';
import { Group, records, valuesOf } from './group.js';
import { replicaOf } from './replica-fixture.js';

const names = ['n1', 'n2', 'n3'];
const batch = (sequence: number, epoch = 1) => ({ producer: { id: 'p', epoch, sequence } });

/** A group at which producers are accepted, although no release offers their feature level yet. */
async function groupOf(members: readonly string[]): Promise<Group> {
  const group = await Group.of(members, { exactlyOnceLevel: 1 });
  await group.leader();
  return group;
}

describe('appends of a producer', () => {
  it('are in the log once, however often each is sent, before it is committed and after', async () => {
    const group = await groupOf(names);
    const { node } = await group.leader();
    const sent = [0, 1, 1, 2, 0, 2].map((sequence) => node.propose(records(String(sequence)), batch(sequence)));
    const receipts = await group.settled(Promise.all(sent));
    expect(receipts.map(({ baseOffset, isDuplicate }) => [baseOffset, isDuplicate ?? false])).toEqual([
      [0, false],
      [1, false],
      [1, true],
      [2, false],
      [0, true],
      [2, true],
    ]);
    const again = await group.settled(node.propose(records('1'), batch(1)));
    const { baseOffset, index, term } = receipts[1];
    expect(again).toEqual({ baseOffset, index, term, recordCount: 1, syncedOn: [], isDuplicate: true });
    expect(await valuesOf(await group.leader())).toEqual(['0', '1', '2']);
  });

  it('are recognized by the next leader, which knows them from the log', async () => {
    const group = await groupOf(names);
    const first = await group.leader();
    const { baseOffset } = await group.settled(first.node.propose(records('a'), batch(0)));
    await group.crash(first.member.name);
    const next = await group.leader();
    const both = [next.node.propose(records('a'), batch(0)), next.node.propose(records('b'), batch(1))];
    const [again, after] = await group.settled(Promise.all(both));
    expect(again).toMatchObject({ baseOffset, isDuplicate: true });
    expect(after.baseOffset).toBe(1);
    expect(await valuesOf(next)).toEqual(['a', 'b']);
  });

  it('are refused out of order, under a lower epoch, and with other records', async () => {
    const group = await groupOf(['n1']);
    const { node } = group.get('n1');
    const refused = (sequence: number, epoch: number, value = 'a'): Promise<unknown> =>
      group.settled(node.propose(records(value), batch(sequence, epoch)).catch((error: unknown) => error));
    expect(await refused(1, 2)).toBeInstanceOf(ProducerSequenceGapError);
    await group.settled(node.propose(records('a'), batch(0, 2)));
    expect(await refused(1, 1)).toBeInstanceOf(ProducerFencedError);
    expect(await refused(2, 2)).toBeInstanceOf(ProducerSequenceGapError);
    expect(await refused(0, 2, 'b')).toBeInstanceOf(ProducerConflictError);
    // Refused by what is not committed yet.
    const sent = node.propose(records('c'), batch(1, 2));
    expect(await refused(1, 2, 'd')).toBeInstanceOf(ProducerConflictError);
    await group.settled(sent);
    expect(await valuesOf(group.get('n1'))).toEqual(['a', 'c']);
  });

  it('are checked for the producer first, and then for the expected offset', async () => {
    const group = await groupOf(['n1']);
    const { node } = group.get('n1');
    await group.settled(node.propose(records('a'), { ...batch(0), expectedOffset: toOffset(0) }));
    const again = await group.settled(node.propose(records('a'), { ...batch(0), expectedOffset: toOffset(0) }));
    expect(again).toMatchObject({ baseOffset: 0, isDuplicate: true });
    const wrong = node
      .propose(records('b'), { ...batch(1), expectedOffset: toOffset(9) })
      .catch((error: unknown) => error);
    expect(await group.settled(wrong)).toBeInstanceOf(ExpectedOffsetMismatchError);
    // What was refused used no sequence.
    expect(await group.settled(node.propose(records('b'), batch(1)))).toMatchObject({ baseOffset: 1 });
  });

  it('are forwarded with their producer by a follower and by a replica', async () => {
    const group = await groupOf(names);
    const leader = await group.leader();
    const { replica } = await replicaOf(group, leader, { exactlyOnceLevel: 1 });
    const [first, again, refused] = await group.settled(
      Promise.all([
        group.follower().node.propose(records('a'), batch(0)),
        replica.propose(records('a'), { ...batch(0), expectedOffset: toOffset(0) }),
        replica.propose(records('c'), batch(2)).catch((error: unknown) => error),
      ]),
    );
    expect([first.isDuplicate, again.isDuplicate].filter(Boolean)).toEqual([true]);
    expect(again.index).toBe(first.index);
    expect(refused).toEqual(new ProducerSequenceGapError(batch(2).producer, 1));
    expect(await valuesOf(leader)).toEqual(['a']);
  });

  it('are refused below the feature level, and nothing is appended', async () => {
    const group = await Group.of(['n1']);
    const { node } = group.get('n1');
    await expect(node.propose(records('a'), batch(0))).rejects.toThrow(FeatureNotEnabledError);
    await expect(node.openProducer({ id: 'p', isEphemeral: false })).rejects.toThrow(FeatureNotEnabledError);
    await expect(node.closeProducer('p', 1)).rejects.toThrow(FeatureNotEnabledError);
    expect(await valuesOf(group.get('n1'))).toEqual([]);
  });
});
