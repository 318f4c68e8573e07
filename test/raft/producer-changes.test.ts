import { describe, expect, it } from '@jest/globals';
import { FeatureNotEnabledError } from '../../src/application/ports/cluster.js';
import type { OpenedProducer, ProducerOpening } from '../../src/application/ports/consensus.js';
import { UnavailableError } from '../../src/application/errors.js';
import { DiskReserveError, InvalidInputError } from '../../src/domain/log/errors.js';
import { toIndex, toOffset } from '../../src/domain/log/offsets.js';
import { decodeProducerChange } from '../../src/domain/log/producer-change.js';
import {
  ProducerFencedError,
  ProducerSequenceGapError,
  ProducersMaxError,
} from '../../src/domain/log/producer-errors.js';
import { BatchKind } from '../../src/domain/log/record-batch.js';
import { Group, type GroupMember, records, valuesOf } from './group.js';
import { forever, names, replicaOf } from './replica-fixture.js';

const minuteMs = 60_000;
const named = (id: string, epoch?: number): ProducerOpening => ({
  id,
  isEphemeral: false,
  ...(epoch !== undefined && { epoch }),
});
const ephemeral: ProducerOpening = { id: '', isEphemeral: true };
const batch = (id: string, epoch: number, sequence: number) => ({ producer: { id, epoch, sequence } });
const outcomeOf = <T>(call: Promise<T>): Promise<T | Error> => call.catch((error: unknown) => error as Error);

/** A group at which producers are accepted, although no release offers their feature level yet. */
async function groupOf(
  members: readonly string[],
  options: ConstructorParameters<typeof Group>[0] = {},
): Promise<{ group: Group; leader: GroupMember }> {
  const group = await Group.of(members, { exactlyOnceLevel: 1, ...options });
  return { group, leader: await group.leader() };
}

/** Returns the changes of producers in the log of a member, in order. */
async function changesIn({ log }: GroupMember): Promise<unknown[]> {
  const until = toIndex(log.lastIndex + 1);
  const changes: unknown[] = [];
  for (let from: number = log.startIndex; from < until;) {
    const batches = await log.readEntries(toIndex(from), { until, bytesMax: 1_000_000 });
    from += batches.length;
    for (const { kind, payload } of batches)
      if (kind === BatchKind.producers) changes.push(decodeProducerChange(payload));
  }
  return changes;
}

/** Lets time pass, in steps that keep the members in touch. */
async function pass(group: Group, ms: number): Promise<void> {
  for (const until = group.clock.now() + ms; group.clock.now() < until;) {
    group.clock.advance(100);
    await group.until(() => true);
  }
}

describe('opening a producer', () => {
  it('begins an epoch, fences the one before, and names the last batch', async () => {
    const { group, leader } = await groupOf(names);
    const { node } = leader;
    const open = (): Promise<OpenedProducer> => group.settled(node.openProducer(named('p')));
    expect(await open()).toEqual({ id: 'p', epoch: 1 });
    await group.settled(node.propose(records('a', 'b'), batch('p', 1, 0)));
    await group.settled(node.propose(records('c'), batch('p', 1, 1)));
    const last = { sequence: 1, baseOffset: toOffset(2) };
    expect(await open()).toEqual({ id: 'p', epoch: 2, last });
    expect(await group.settled(outcomeOf(node.propose(records('d'), batch('p', 1, 2))))).toEqual(
      new ProducerFencedError('p', 1, 2),
    );
    // The answer may have been lost: the epoch is empty, and the last batch is still the last.
    expect(await open()).toEqual({ id: 'p', epoch: 3, last });
    expect(await valuesOf(leader)).toEqual(['a', 'b', 'c']);
  });

  it('names the last batch that was in flight', async () => {
    const { group, leader } = await groupOf(names);
    const { node } = leader;
    const [, , opened, again] = await group.settled(
      Promise.all([
        node.propose(records('a', 'b'), batch('p', 1, 0)),
        node.propose(records('c'), batch('p', 1, 1)),
        node.openProducer(named('p')),
        node.openProducer(named('p')),
      ]),
    );
    const last = { sequence: 1, baseOffset: toOffset(2) };
    expect([opened, again]).toEqual([
      { id: 'p', epoch: 2, last },
      { id: 'p', epoch: 3, last },
    ]);
  });

  it('never gives one epoch to two, wherever they ask and however often the leader changes', async () => {
    const { group } = await groupOf(names);
    const epochs: number[] = [];
    for (let round = 0; round < 4; round++) {
      const calls = [...group.running.values()].flatMap(({ node }) => [
        outcomeOf(node.openProducer(named('p'))),
        outcomeOf(node.openProducer(named('p'))),
      ]);
      const gone = (await group.leader()).member.name;
      if (round % 2 === 1) await group.crash(gone);
      // Those of a node that crashed may never be answered.
      const answered = Promise.all(
        calls.map((each) => each.then((opened) => 'id' in opened && epochs.push(opened.epoch))),
      );
      await Promise.race([answered, pass(group, 5_000)]);
      if (!group.running.has(gone)) await group.start(gone);
      await group.leader();
    }
    expect(epochs.length).toBeGreaterThan(8);
    expect(new Set(epochs).size).toBe(epochs.length);
    const { node } = await group.leader();
    const { epoch } = await group.settled(node.openProducer(named('p')));
    expect(epoch).toBeGreaterThan(Math.max(...epochs));
  });

  it('that another leader drops leaves nothing behind', async () => {
    const { group, leader } = await groupOf(names);
    const { id, name } = leader.member;
    const others = names.filter((each) => each !== name);
    for (const each of others) group.network.cut(id, group.get(each).member.id);
    const dropped = outcomeOf(leader.node.openProducer(named('p', 7)));
    await group.until(() => others.some((each) => group.get(each).node.leadership.isLeader));
    const next = group.get(others.find((each) => group.get(each).node.leadership.isLeader) ?? '');
    expect(await group.settled(next.node.openProducer(named('p')))).toEqual({ id: 'p', epoch: 1 });
    group.network.heal();
    expect(await group.settled(dropped)).toBeInstanceOf(Error);
    expect(await group.settled(leader.node.openProducer(named('p')))).toEqual({ id: 'p', epoch: 2 });
  });

  it('waits until a new leader knows what earlier ones have opened', async () => {
    const { group, leader } = await groupOf(names);
    const others = [...group.running.values()].filter((each) => each !== leader);
    const { lastIndex } = leader.node.leadership;
    // Cut off when the others have it, and before they know that it is committed.
    const stored = others.map(async ({ node }) => {
      await node.leadership.waitUntil(() => node.leadership.lastIndex > lastIndex);
      for (const { member } of others) group.network.cut(leader.member.id, member.id);
    });
    void outcomeOf(leader.node.openProducer(named('p', 5)));
    const next = others.map(async ({ node }) => {
      await node.leadership.waitUntil(() => node.leadership.isLeader);
      return node.openProducer(named('p'));
    });
    await group.settled(Promise.race(stored));
    expect(await group.settled(Promise.race(next))).toEqual({ id: 'p', epoch: 6 });
  });

  it('that the core refuses during a leadership transfer uses no epoch', async () => {
    const { group, leader } = await groupOf(names);
    const transferee = group.follower().member.id;
    const { term } = leader.node.leadership.status.hardState;
    group.network.cut(leader.member.id, transferee);
    const transferred = outcomeOf(leader.node.leadership.transferTo(transferee));
    const refused = [leader.node.openProducer(named('p')), leader.node.openProducer(named('p'))].map(outcomeOf);
    expect(await group.settled(Promise.all(refused))).toEqual([
      expect.any(UnavailableError),
      expect.any(UnavailableError),
    ]);
    await group.settled(transferred);
    expect(await group.settled(leader.node.openProducer(named('p')))).toEqual({ id: 'p', epoch: 1 });
    expect(leader.node.leadership.status.hardState.term).toBe(term);
  });

  it('is refused under an epoch that is not higher, also by what is not committed yet', async () => {
    const { group, leader } = await groupOf(names);
    const { node } = leader;
    const outcomes = await group.settled(
      Promise.all([4, 4, 3, 5].map((epoch) => outcomeOf(node.openProducer(named('p', epoch))))),
    );
    const fenced = (epoch: number): Error => new ProducerFencedError('p', epoch, 4);
    expect(outcomes).toEqual([{ id: 'p', epoch: 4 }, fenced(4), fenced(3), { id: 'p', epoch: 5 }]);
    await group.settled(node.openProducer(named('p', Number.MAX_SAFE_INTEGER)));
    expect(await group.settled(outcomeOf(node.openProducer(named('p'))))).toBeInstanceOf(InvalidInputError);
    // What was refused is not in the log.
    expect(await changesIn(leader)).toHaveLength(3);
  });

  it('makes an id for a producer that names none', async () => {
    const { group, leader } = await groupOf(['n1']);
    const opened = await group.settled(Promise.all([1, 2].map(() => leader.node.openProducer(ephemeral))));
    expect(opened.map(({ id }) => id)).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/), expect.any(String)]);
    expect(opened[0].id).not.toBe(opened[1].id);
    await group.settled(leader.node.propose(records('a'), batch(opened[0].id, 1, 0)));
  });

  it('is refused when as many are known as the cluster allows, until that is changed or one is closed', async () => {
    const { group, leader } = await groupOf(names);
    const { node, cluster } = leader;
    const open = (id: string) => group.settled(outcomeOf(node.openProducer(named(id))));
    await group.settled(cluster.changeSettings({ producersMax: 1 }, forever));
    expect(await open('a')).toEqual({ id: 'a', epoch: 1 });
    expect(await open('b')).toEqual(new ProducersMaxError(false, 1));
    const follower = group.follower().node;
    expect(await group.settled(outcomeOf(follower.propose(records('x'), batch('b', 0, 0))))).toEqual(
      new ProducersMaxError(false, 1),
    );
    expect(await open('a')).toEqual({ id: 'a', epoch: 2 });
    await group.settled(cluster.changeSettings({ producersMax: 2 }, forever));
    expect(await open('b')).toEqual({ id: 'b', epoch: 1 });
    expect(await open('c')).toEqual(new ProducersMaxError(false, 2));
    await group.settled(node.closeProducer('b', 1));
    expect(await open('c')).toEqual({ id: 'c', epoch: 1 });
    expect(await group.settled(node.openProducer(ephemeral))).toMatchObject({ epoch: 1 });
  });

  it('works the same through a follower and a replica', async () => {
    const { group, leader } = await groupOf(names);
    const { replica } = await replicaOf(group, leader, { exactlyOnceLevel: 1 });
    for (const [at, epoch] of [
      [group.follower().node, 1],
      [replica, 3],
    ] as const) {
      expect(await group.settled(at.openProducer(named('p')))).toMatchObject({ id: 'p', epoch });
      await group.settled(at.propose(records('a'), batch('p', epoch, 0)));
      expect(await group.settled(at.openProducer(named('p')))).toMatchObject({
        epoch: epoch + 1,
        last: { sequence: 0, baseOffset: (epoch - 1) / 2 },
      });
      expect(await group.settled(outcomeOf(at.openProducer(named('p', 1))))).toEqual(
        new ProducerFencedError('p', 1, epoch + 1),
      );
      expect((await group.settled(at.openProducer(ephemeral))).id).toMatch(/^[0-9a-f]{32}$/);
    }
    expect(await group.settled(outcomeOf(replica.closeProducer('p', 3)))).toEqual(new ProducerFencedError('p', 3, 4));
    await group.settled(replica.closeProducer('p', 4));
    expect(await group.settled(leader.node.openProducer(named('p')))).toEqual({ id: 'p', epoch: 1 });
  });

  it('is refused below the feature level, and never sent to another member', async () => {
    const group = await Group.of(names);
    const leader = await group.leader();
    const { replica } = await replicaOf(group, leader);
    for (const { node } of group.running.values())
      node.producersForwarded.openProducer = () => Promise.reject(new Error('sent'));
    for (const at of [group.follower().node, replica, leader.node]) {
      expect(await outcomeOf(at.openProducer(named('p')))).toEqual(new FeatureNotEnabledError(2, 1));
      expect(await outcomeOf(at.closeProducer('p', 1))).toEqual(new FeatureNotEnabledError(2, 1));
      expect(await outcomeOf(at.propose(records('a'), batch('p', 0, 0)))).toEqual(new FeatureNotEnabledError(2, 1));
    }
  });

  it('waits for no space on a full disk, while a closing passes', async () => {
    const { group, leader } = await groupOf(['n1'], { diskReserveBytes: 1_000_000 });
    const { node } = leader;
    await group.settled(node.openProducer(named('p')));
    group.disk('n1').log.freeBytes = () => Promise.resolve(900_000);
    await pass(group, 2_000);
    expect(await group.settled(outcomeOf(node.openProducer(named('q'))))).toBeInstanceOf(DiskReserveError);
    await group.settled(node.closeProducer('p', 1));
    group.disk('n1').log.freeBytes = () => Promise.resolve(60_000);
    await pass(group, 2_000);
    // Unknown: nothing is written.
    await group.settled(node.closeProducer('p', 1));
  });
});

describe('closing a producer', () => {
  it('forgets it; an unknown one is closed already, and one at another epoch is not closed', async () => {
    const { group, leader } = await groupOf(names);
    const { node } = leader;
    await group.settled(node.openProducer(named('p')));
    await group.settled(node.propose(records('a'), batch('p', 1, 0)));
    expect(await group.settled(outcomeOf(node.closeProducer('p', 0)))).toEqual(new ProducerFencedError('p', 0, 1));
    const closed = [node.closeProducer('p', 1), node.closeProducer('p', 1), node.closeProducer('q', 1)];
    await group.settled(Promise.all(closed));
    expect(await changesIn(leader)).toEqual([
      { opened: [{ id: 'p', epoch: 1, isEphemeral: false }], forgotten: [] },
      { opened: [], forgotten: ['p'] },
    ]);
    expect(await group.settled(outcomeOf(node.propose(records('b'), batch('p', 1, 1))))).toEqual(
      new ProducerSequenceGapError(batch('p', 1, 1).producer, 0),
    );
    expect(await group.settled(node.openProducer(named('p')))).toEqual({ id: 'p', epoch: 1 });
  });
});

describe('a producer without batches', () => {
  it('is forgotten after its time: an ephemeral one after 15 minutes, a named one after producer-expiry', async () => {
    const { group, leader } = await groupOf(names);
    const { node, cluster } = leader;
    await group.settled(cluster.changeSettings({ producerExpiryMs: 20 * minuteMs }, forever));
    await group.settled(Promise.all(['old', 'busy'].map((id) => node.openProducer(named(id)))));
    const { id } = await group.settled(node.openProducer(ephemeral));
    await pass(group, 14 * minuteMs);
    await group.settled(node.propose(records('a'), batch('busy', 1, 0)));
    expect(await changesIn(leader)).toHaveLength(3);
    await pass(group, 2 * minuteMs);
    expect((await changesIn(leader)).slice(3)).toEqual([{ opened: [], forgotten: [id] }]);
    await pass(group, 5 * minuteMs);
    expect((await changesIn(leader)).slice(4)).toEqual([{ opened: [], forgotten: ['old'] }]);
    expect(await group.settled(node.propose(records('b'), batch('busy', 1, 1)))).toMatchObject({ baseOffset: 1 });
  }, 60_000);

  it('is not forgotten by the wrong clock of a leader, nor by a node that does not lead', async () => {
    const { group, leader } = await groupOf(names);
    await group.settled(leader.node.openProducer(ephemeral));
    group.aheadMs.set(leader.member.name, 60 * minuteMs);
    await pass(group, 2 * minuteMs);
    expect(await changesIn(leader)).toHaveLength(1);
    group.aheadMs.clear();
    group.aheadMs.set(group.follower().member.name, 60 * minuteMs);
    await pass(group, 2 * minuteMs);
    expect(await changesIn(leader)).toHaveLength(1);
  }, 60_000);

  it('is forgotten with others, in entries of bounded size', async () => {
    const { group, leader } = await groupOf(['n1']);
    await group.settled(Promise.all(Array.from({ length: 600 }, () => leader.node.openProducer(ephemeral))));
    await pass(group, 16 * minuteMs);
    const forgotten = (await changesIn(leader)).slice(600) as { readonly forgotten: readonly string[] }[];
    expect(forgotten.map((each) => each.forgotten.length)).toEqual([256, 256, 88]);
  }, 60_000);
});
