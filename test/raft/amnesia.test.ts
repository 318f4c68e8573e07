import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { AmnesiacError } from '../../src/application/join/amnesia.js';
import { HardStateFile } from '../../src/domain/log/hard-state-file.js';
import { Group, type GroupDisk, type GroupMember, noteless, records, valuesOf } from './group.js';

const names = ['n1', 'n2', 'n3'];
const forever = new AbortController().signal;

async function produce(group: Group, { node }: GroupMember, from: number, until: number): Promise<void> {
  for (let i = from; i < until; i++) await group.settled(node.propose(records(`value ${i}`)));
}

const upTo = (count: number): string[] => Array.from({ length: count }, (_, i) => `value ${i}`);

/** Expects that every node has all values, and that no other node is in the cluster. */
async function expectWhole(group: Group, count: number): Promise<void> {
  const leader = await group.leader();
  await group.until(() => {
    const { members, confState } = leader.node.leadership.configuration;
    return members.length === names.length && confState.voters.length === names.length;
  });
  await group.until(() => [...group.running.values()].every(({ node }) => node.highWatermark === count));
  for (const each of group.running.values()) {
    expect(each.fatal).toEqual([]);
    expect(await valuesOf(each)).toEqual(upTo(count));
  }
}

/** Returns a group with a follower that was stopped after 40 values, and a copy of its disk as of the first 10. */
async function rolledBack(): Promise<{
  group: Group;
  leader: GroupMember;
  follower: GroupMember['member'];
  copy: GroupDisk;
}> {
  const group = await Group.of(names);
  const leader = await group.leader();
  const { member, node } = group.follower();
  await produce(group, leader, 0, 10);
  await group.until(() => node.highWatermark === 10);
  const copy = await group.copyDisk(member.name);
  await produce(group, leader, 10, 40);
  await group.until(() => node.highWatermark === 40);
  await group.stop(member.name);
  return { group, leader, follower: member, copy };
}

describe('a follower whose directory was restored from an older copy', () => {
  const parts = [
    ['all of it', ({ raft, log }) => ({ raft, log })],
    ['only its log', ({ log }) => ({ log })],
  ] satisfies [string, (copy: GroupDisk) => Parameters<Group['putBack']>[1]][];

  it.each(parts)('is admitted again under a new Raft id, and becomes a voter (%s)', async (what, part) => {
    const { group, leader, follower, copy } = await rolledBack();
    const { name, id } = follower;
    await group.putBack(name, part(copy));
    await produce(group, leader, 40, 50);
    const { member } = await group.start(name);
    await produce(group, leader, 50, 60);
    await expectWhole(group, 60);
    if (what === 'all of it') expect(member.id).toBe(4);
    // A log that ends before the saved commit index is repaired, under the old id.
    else expect([id, 4]).toContain(member.id);
  });

  it('keeps its id if only its hard state and configuration were restored, and votes for the leader of its term', async () => {
    const { group, leader, follower, copy } = await rolledBack();
    const { name, id } = follower;
    // The copy is from before the node voted in the term.
    const { current } = await HardStateFile.open(copy.raft, crc32c);
    await copy.raft.remove('hard-state');
    const older = await HardStateFile.open(copy.raft, crc32c);
    await older.save({ ...current, vote: 0 });
    await older.close();
    await group.putBack(name, { raft: copy.raft });
    const { term } = leader.node.leadership.status.hardState;
    const { member, started } = await group.start(name);
    expect(member.id).toBe(id);
    // A follower that only receives heartbeats votes for no node: this one asked the leader before it started.
    expect(started.hardState.current).toMatchObject({ term, vote: leader.member.id });
    await produce(group, leader, 40, 50);
    await expectWhole(group, 50);
  });

  it('withdraws once it hears from the leader, if it started without an answer, and asks at its next start', async () => {
    const { group, leader, follower, copy } = await rolledBack();
    const { name, id } = follower;
    await group.putBack(name, copy);
    const back = await group.start(name, { joinTransport: noteless(group) });
    await group.until(() => back.fatal.length > 0);
    expect(back.fatal).toEqual([expect.any(AmnesiacError)]);
    expect(back.node.leadership.configuration.members.map((member) => member.id)).toContain(id);
    expect(await group.storedConfiguration(name)).toMatchObject({ id, amnesiac: true });
    await group.crash(name);
    await produce(group, leader, 40, 45);
    expect((await group.start(name)).member.id).toBe(4);
    expect((await group.storedConfiguration(name))?.amnesiac).toBeUndefined();
    await expectWhole(group, 45);
  });

  it('gives no vote under its old id, even if the leader is lost', async () => {
    const { group, leader, follower, copy } = await rolledBack();
    await group.putBack(follower.name, copy);
    const back = await group.start(follower.name, { joinTransport: noteless(group) });
    await group.until(() => back.fatal.length > 0);
    await group.crash(leader.member.name);
    const [left] = [...group.running.values()].filter((each) => each !== back);
    await group.until(() => left.node.leadership.leaderId === 0);
    const began = group.clock.now();
    await group.until(() => group.clock.now() - began > 20_000);
    expect(left.node.leadership.isLeader).toBe(false);
    expect(back.node.leadership.isLeader).toBe(false);
    // The node that lost nothing completes a majority again.
    await group.start(leader.member.name);
    await group.crash(follower.name);
    await group.leader();
    expect((await group.start(follower.name)).member.id).toBe(4);
    await expectWhole(group, 40);
  });

  it('no longer counts for commits with what it acknowledged', async () => {
    const { group, leader, follower, copy } = await rolledBack();
    await group.putBack(follower.name, copy);
    const matchOf = (id: number): number | undefined => {
      let found: number | undefined;
      leader.node.leadership.visitProgress((member, { match }) => {
        if (member === id) found = match;
      });
      return found;
    };
    expect(matchOf(follower.id)).toBeGreaterThan(40);
    const starting = group.start(follower.name);
    await group.until(() => leader.node.leadership.configuration.confState.learners.includes(4));
    expect(matchOf(follower.id)).toBe(0);
    expect(leader.node.leadership.configuration.confState).toMatchObject({ voters: [1, 2, 3], learners: [4] });
    await starting;
  });

  it('keeps asking while there is no quorum to admit it, and does not run Raft in the meantime', async () => {
    const { group, leader, follower, copy } = await rolledBack();
    const other = names.find((name) => name !== follower.name && name !== leader.member.name);
    if (other === undefined) throw new Error('there are three');
    await group.putBack(follower.name, copy);
    await group.crash(other);
    const starting = group.start(follower.name);
    await group.until(() => leader.node.leadership.leaderId === 0);
    expect(await group.storedConfiguration(follower.name)).toMatchObject({ amnesiac: true });
    expect(group.running.has(follower.name)).toBe(false);
    await group.start(other);
    expect((await starting).member.id).toBeGreaterThan(3);
    await expectWhole(group, 40);
  });

  it('is admitted once, however often it asks, and again if it is restored again', async () => {
    const { group, leader, follower, copy } = await rolledBack();
    const { name, id: forgotAs } = follower;
    const joiner = {
      name,
      uuid: follower.uuid,
      rpcAddr: follower.rpcAddr,
      bootstrapExpect: 0,
      featureLevel: 1,
      forgotAs,
    };
    for (let asked = 0; asked < 3; asked++)
      expect(await group.settled(leader.cluster.admit(joiner))).toMatchObject({ kind: 'joined', id: 4 });
    expect(await group.settled(leader.cluster.admit({ ...joiner, forgotAs: 4 }))).toMatchObject({ id: 5 });
    expect(leader.node.leadership.configuration.confState).toMatchObject({ voters: [1, 2, 3], learners: [5] });
    expect(leader.node.leadership.configuration.members.at(-1)).toMatchObject({ id: 5, replaces: forgotAs });
    await group.putBack(name, copy);
    expect((await group.start(name)).member.id).toBe(5);
    await expectWhole(group, 40);
  });

  it('is not one that only lags, was the leader, or gets an answer from a leader of an earlier term', async () => {
    const group = await Group.of(names);
    const old = await group.leader();
    await produce(group, old, 0, 10);
    await group.stop(old.member.name);
    const next = await group.leader();
    await produce(group, next, 10, 30);
    expect((await group.start(old.member.name)).member.id).toBe(old.member.id);
    await expectWhole(group, 30);
    const stale = next.cluster;
    const answer = await group.settled(stale.admit({ ...old.member, bootstrapExpect: 0, featureLevel: 1 }));
    if (answer.kind !== 'joined' || answer.view === undefined)
      throw new Error("expected an admission with the leader's view");
    await group.stop(old.member.name);
    const view = { ...answer.view, term: answer.view.term - 1, acknowledged: { index: 1_000, term: 1 } };
    const joinTransport = { ask: async () => ({ ...answer, view }) };
    expect((await group.start(old.member.name, { joinTransport })).member.id).toBe(old.member.id);
    await expectWhole(group, 30);
  });
});

describe('a copy from before the node had its current Raft id', () => {
  it('does not reuse that id, whichever node leads', async () => {
    const { group, leader, follower, copy } = await rolledBack();
    const { name } = follower;
    await group.putBack(name, copy);
    expect((await group.start(name)).member.id).toBe(4);
    await expectWhole(group, 40);
    await group.stop(name);
    await group.putBack(name, copy);
    expect((await group.start(name)).member.id).toBe(5);
    await expectWhole(group, 40);
    await group.stop(name);
    // The next leader has received no acknowledgement of it.
    await group.settled(leader.cluster.transferLeadership(undefined, forever));
    await group.leader();
    await group.putBack(name, copy);
    expect((await group.start(name)).member.id).toBe(6);
    await expectWhole(group, 40);
  });
});

describe('the directory of a leader, restored from an older copy after the others elected a new leader', () => {
  it('becomes a voter with everything that the others have', async () => {
    const group = await Group.of(names);
    const old = await group.leader();
    await produce(group, old, 0, 5);
    const copy = await group.copyDisk(old.member.name);
    await produce(group, old, 5, 20);
    // It is killed: a node that stops gracefully acknowledges entries to the next leader.
    await group.crash(old.member.name);
    const next = await group.leader();
    await produce(group, next, 20, 30);
    await group.putBack(old.member.name, copy);
    await group.start(old.member.name);
    await produce(group, next, 30, 40);
    await expectWhole(group, 40);
    // Once it has acknowledged to the new leader, that leader detects the loss.
    await group.stop(old.member.name);
    await group.putBack(old.member.name, copy);
    expect((await group.start(old.member.name)).member.id).toBe(4);
    await expectWhole(group, 40);
  });

  it('is detected by the terms if its log ends with unshared entries and is longer than what it acknowledged since', async () => {
    const group = await Group.of(names);
    const old = await group.leader();
    const { name, id } = old.member;
    await produce(group, old, 0, 5);
    for (const other of names) if (other !== name) group.network.cut(id, group.get(other).member.id);
    for (let i = 0; i < 12; i++) {
      const { lastIndex } = old.log;
      void old.node.propose(records('never acknowledged')).catch(() => undefined);
      await group.until(() => old.log.lastIndex > lastIndex);
    }
    const copy = await group.copyDisk(name);
    const others = [...group.running.values()].filter((each) => each !== old);
    await group.until(() => others.some(({ node }) => node.leadership.isLeader) && !old.node.leadership.isLeader);
    group.network.heal();
    const next = await group.leader();
    await produce(group, next, 5, 8);
    await group.until(() => old.node.highWatermark === 8);
    await group.stop(name);
    await group.putBack(name, copy);
    const back = await group.start(name, { joinTransport: noteless(group) });
    await group.until(() => back.fatal.length > 0 || back.node.highWatermark >= 8);
    const [error] = back.fatal;
    if (!(error instanceof AmnesiacError)) throw error;
    expect(error.lastIndex).toBeGreaterThan(error.acknowledged);
    await group.crash(name);
    expect((await group.start(name)).member.id).toBe(4);
    await expectWhole(group, 8);
    await group.settled(next.cluster.transferLeadership(name, forever));
  });
});
