import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { MemoryDirectory } from '../../src/adapters/memory/memory-directory.js';
import { writeDurably } from '../../src/domain/log/durable-file.js';
import { HardStateFile } from '../../src/domain/log/hard-state-file.js';
import { emptyDisk, Group, type GroupDisk, unanswered } from './group.js';
import { eventsOf, expectWhole, names, produce, rest, startAll, stopAll } from './vouching-group.js';

const forever = new AbortController().signal;

/** Damages one of the two slots of the node's hard state, or removes the file. */
async function spoil({ raft }: GroupDisk, what: 'a slot' | 'the file'): Promise<void> {
  if (what === 'the file') return raft.remove('hard-state');
  const { current } = await HardStateFile.open(raft, crc32c);
  const file = await raft.open('hard-state');
  const bytes = await file.read(0, await file.size());
  const at = [0, 4096].find((start) => Number(new DataView(bytes.buffer).getBigUint64(start + 16)) === current.term);
  await file.write((at ?? 0) + 20, [Uint8Array.of(0xff)]);
  await file.close();
}

describe('a cluster whose members all start', () => {
  it('leads again after a full power cut, with what it had acknowledged', async () => {
    const group = await Group.of(names);
    await produce(group, await group.leader(), 0, 20);
    for (let round = 0; round < 3; round++) {
      await stopAll(group, 'crash');
      await startAll(group);
    }
    await expectWhole(group, 20);
  });

  it('leads again from a cold copy of all of them, with a warning', async () => {
    const group = await Group.of(names);
    await produce(group, await group.leader(), 0, 20);
    await stopAll(group);
    for (const name of names) await group.putBack(name, await group.copyDisk(name));
    await startAll(group);
    for (const each of group.running.values()) expect(eventsOf(each)).toContain('data_directory_changed');
    await expectWhole(group, 20);
  });

  it('leads again if the directories are copied at every start, and if they are restarted one by one', async () => {
    const group = await Group.of(names);
    let count = 0;
    for (let round = 0; round < 3; round++)
      for (const name of names) {
        await produce(group, await group.leader(), count, (count += 3));
        await group.stop(name);
        await group.putBack(name, await group.copyDisk(name));
        expect((await group.start(name)).member.id).toBe(names.indexOf(name) + 1);
      }
    await expectWhole(group, count);
  });

  it.each(['a slot', 'the file'] as const)(
    'leads again after two of three have lost %s of their hard state',
    async (what) => {
      const group = await Group.of(names);
      await produce(group, await group.leader(), 0, 20);
      await stopAll(group, 'crash');
      for (const name of names.slice(1)) await spoil(group.disk(name), what);
      await startAll(group);
      await expectWhole(group, 20);
    },
  );

  it('leads again although one of three is gone', async () => {
    const group = await Group.of(names);
    await produce(group, await group.leader(), 0, 20);
    await stopAll(group, 'crash');
    const leader = await startAll(group, names.slice(1));
    await produce(group, leader, 20, 21);
  });
});

describe('members that come back at other addresses at the same time', () => {
  it('find each other by the one that stayed, where gossip does not tell', async () => {
    const group = await Group.of(names);
    await produce(group, await group.leader(), 0, 10);
    const moved = ['n2', 'n3'];
    for (const name of moved) await group.stop(name);
    const begun = await Promise.all(
      moved.map((name) => group.begin(name, { claims: { rpcAddr: `new-${name}:8400` } })),
    );
    await rest(group, 2_000);
    for (const { started } of begun) expect(started.work.waiting ?? 'nothing').toBe('nothing');
    const [{ member }] = [...group.running.values()];
    await group.until(() => group.get(member.name).node.leadership.leaderId !== 0);
  });
});

describe('a node that answers in the name of two members', () => {
  it('vouches for the one that its certificate names', async () => {
    const group = await Group.of(names);
    await produce(group, await group.leader(), 0, 10);
    await stopAll(group);
    const honest = group.network.joinTransport;
    const vouch: typeof honest.vouch = async (rpcAddr, ...rest) => {
      const answer = await honest.vouch('n2:8400', ...rest);
      if (answer === 'unsupported') return answer;
      const claimed = rpcAddr === 'n3:8400' ? { uuid: group.disk('n3').uuid, id: 3 } : {};
      return { ...answer, ...claimed, certifiedAs: ['n2'] };
    };
    await group.begin('n2', { joinTransport: { ...unanswered, vouch: unanswered.ask } });
    const { started } = await group.begin('n1', { joinTransport: { ...unanswered, vouch } });
    await rest(group, 5_000);
    expect(started.work.raft === undefined).toBe(true);
    expect(started.work.waiting).toContain('no answer from n3');
  });
});

describe('an upgrade from a release that counts no starts', () => {
  it('leaves a cluster of three, one of which is gone, its leader', async () => {
    const group = await Group.of(names, { settings: {} });
    for (const [i] of names.entries()) group.network.offered.set(i + 1, 0);
    await produce(group, await group.leader(), 0, 20);
    await stopAll(group);
    const upgraded = names.slice(1);
    for (const name of upgraded)
      for (const file of ['incarnation', 'peer-notes']) await group.disk(name).raft.remove(file);
    const leader = await startAll(group, upgraded);
    for (const each of group.running.values()) expect(eventsOf(each)).not.toContain('data_directory_changed');
    await produce(group, leader, 20, 21);
  });
});

describe('a node that starts alone', () => {
  it('does not run Raft before a peer has answered, serves what is committed, and says what it waits for', async () => {
    const group = await Group.of(names);
    await produce(group, await group.leader(), 0, 20);
    await rest(group);
    await stopAll(group);
    const { started, service, lines } = await group.begin('n1');
    await rest(group, 30_000);
    expect(started.work.raft).toBeUndefined();
    expect(started.work.waiting).toContain('no answer from n2, n3');
    expect(started.consensus.highWatermark).toBe(20);
    expect(await service?.info(new AbortController().signal).catch((error: unknown) => error)).toMatchObject({
      message: expect.stringContaining('no answer from n2, n3'),
    });
    expect(lines.filter(({ event }) => event === 'vouching_incomplete')).toHaveLength(1);
    await startAll(group, ['n2', 'n3']);
    await group.until(() => started.work.raft !== undefined);
  });

  it('leads again on the directories of a release that counts no starts, although one of three is gone', async () => {
    const group = await Group.of(names, { settings: {} });
    // Offered by one of that release, so that the level is not raised.
    group.network.offered.set(3, 0);
    const leader = await group.leader();
    if (leader.member.id === 3)
      await group.settled(leader.cluster.transferLeadership('n1', new AbortController().signal));
    await produce(group, await group.leader(), 0, 20);
    await stopAll(group);
    for (const name of names)
      for (const file of ['incarnation', 'peer-notes']) await group.disk(name).raft.remove(file);
    await startAll(group, ['n1', 'n2']);
    for (const each of group.running.values()) expect(eventsOf(each)).not.toContain('data_directory_changed');
    await group.start('n3');
    await expectWhole(group, 20);
  });

  it('leads at once if it is a cluster of one', async () => {
    const group = await Group.of(['n1']);
    await produce(group, await group.leader(), 0, 20);
    await group.stop('n1');
    const began = group.clock.now();
    await group.start('n1');
    expect(group.clock.now() - began).toBeLessThan(1_000);
    await expectWhole(group, 20, 1);
  });

  it('listens before it leads a cluster of one, if its directory was copied', async () => {
    const group = await Group.of(['n1']);
    await produce(group, await group.leader(), 0, 20);
    await group.stop('n1');
    await group.putBack('n1', await group.copyDisk('n1'));
    const began = group.clock.now();
    await group.start('n1');
    expect(group.clock.now() - began).toBeGreaterThanOrEqual(30_000);
    await expectWhole(group, 20, 1);
  });
});

describe('T1: a cluster of one whose directory looks as its node left it', () => {
  async function alone(): Promise<Group> {
    const group = await Group.of(['n1']);
    await produce(group, await group.leader(), 0, 20);
    await group.stop('n1');
    return group;
  }

  it('listens before it leads while an address that it was given does not answer', async () => {
    const group = await alone();
    const began = group.clock.now();
    const { started } = await group.begin('n1', { startJoinAddrs: ['n2:8401', 'n3:8401'] });
    await rest(group, 20_000);
    expect(started.work.raft).toBeUndefined();
    expect(started.work.waiting).toContain(
      'listens for other members for 30 s before it leads; no answer from n2:8401, n3:8401',
    );
    await group.until(() => started.work.raft !== undefined);
    expect(group.clock.now() - began).toBeGreaterThanOrEqual(30_000);
  });

  it('leads at once if each of them answers, and no other member does', async () => {
    const group = await alone();
    const other = group.gossip.node({ name: 'n2', tags: new Map() });
    const address = await other.start();
    const began = group.clock.now();
    const { lines } = await group.start('n1', { startJoinAddrs: [address] });
    expect(group.clock.now() - began).toBeLessThan(5_000);
    expect(eventsOf({ lines })).toContain('vouched');
    await expectWhole(group, 20, 1);
  });
});

describe('A3: a copy of a directory', () => {
  it('waits while the process of the member answers, of which the peers have heard nothing since they started', async () => {
    const group = await Group.of(names);
    await produce(group, await group.leader(), 0, 10);
    await rest(group);
    await stopAll(group);
    const first = await group.begin('n3', { joinTransport: { ...unanswered, vouch: unanswered.ask } });
    const twin = await group.begin('n3', {
      disk: await group.copyDisk('n3'),
      claims: { rpcAddr: 'twin:8400' },
      joinTransport: { ...unanswered, vouch: group.network.joinTransport.vouch },
    });
    await startAll(group, ['n1', 'n2']);
    await rest(group, 20_000);
    expect(twin.started.work.raft).toBeUndefined();
    expect(twin.started.work.waiting).toContain('another process runs as this member at n3:8400');
    await group.settled(first.started.close());
    group.network.serve('n3:8400', {});
    await group.until(() => twin.started.work.raft !== undefined);
  });

  it('gives up its identity where the peers have seen another copy, although it was started more often', async () => {
    const group = await Group.of(names);
    await produce(group, await group.leader(), 0, 10);
    const leader = await group.leader();
    const { name } = group.follower().member;
    await group.stop(name);
    const copy = await group.copyDisk(name);
    await group.start(name);
    await rest(group);
    await group.stop(name);
    await group.putBack(name, copy);
    for (let i = 0; i < 3; i++) {
      const alone = await group.begin(name, { joinTransport: { ...unanswered, vouch: unanswered.ask } });
      await group.settled(alone.started.close());
    }
    expect((await group.start(name)).member.id).toBe(4);
    await group.until(() => leader.node.leadership.configuration.confState.voters.length === 3);
    await expectWhole(group, 10);
  });
});

describe('a directory from the time when its cluster had one member', () => {
  it('does not lead a cluster of its own: its node is admitted again under a new id', async () => {
    const group = await Group.of(['n1']);
    await produce(group, await group.leader(), 0, 5);
    await group.stop('n1');
    const copy = await group.copyDisk('n1');
    const first = await group.start('n1');
    for (const name of ['n2', 'n3']) await group.start(name);
    await group.until(() => first.node.leadership.configuration.confState.voters.length === 3);
    await produce(group, first, 5, 20);
    await group.stop('n1');
    await group.putBack('n1', copy);
    const leader = await group.leader();
    await produce(group, leader, 20, 25);
    const gossipAddr = leader.started.gossipAddr;
    const back = await group.begin('n1', { startJoinAddrs: [gossipAddr] });
    await group.until(() => back.started.work.raft !== undefined);
    expect(back.started.work.raft?.node.leadership.status.id).toBe(4);
    await group.until(() => leader.node.leadership.configuration.confState.voters.length === 3);
    expect(eventsOf(back)).toContain('acknowledged_entries_lost');
  });
});

describe('a node that came back with less than it had', () => {
  /** The follower n acknowledged values with the leader, while the third was cut off; then the leader ends. */
  async function loneWitness() {
    const group = await Group.of(names);
    const leader = await group.leader();
    await produce(group, leader, 0, 10);
    const [follower, third] = [...group.running.values()].filter((each) => each !== leader);
    await rest(group);
    const copy = await group.copyDisk(follower.member.name);
    await produce(group, leader, 10, 20);
    await rest(group);
    return { group, leader, follower, third, copy };
  }

  it.each([
    ['all of it', true],
    ['its log', false],
  ])('does not help to elect a leader that lacks what was acknowledged (%s)', async (_, isWhole) => {
    const { group, leader, follower, third, copy } = await loneWitness();
    const [behind, before] = [third.member.name, await group.copyDisk(third.member.name)];
    await stopAll(group, 'crash');
    // Rolled back, both: only the notes of each other show it.
    await group.putBack(follower.member.name, isWhole ? copy : { log: copy.log });
    await group.putBack(behind, before);
    const back = await group.begin(follower.member.name);
    const other = await group.begin(behind);
    await rest(group, 20_000);
    expect(back.started.work.raft).toBeUndefined();
    // A log that ends before what is committed is repaired; a node that has forgotten even that asks for a new id.
    expect(back.started.work.waiting ?? back.started.work.repair).toBeDefined();
    expect(other.started.work.raft).toBeUndefined();
    // The node that lost nothing completes a majority again.
    await group.start(leader.member.name);
    await group.until(() => back.started.work.raft !== undefined);
    expect(back.started.work.raft?.node.leadership.status.id).toBe(isWhole ? 4 : follower.member.id);
    await group.until(() => back.started.consensus.highWatermark === 20);
  });

  it('is admitted under a new id if it lost everything but its UUID', async () => {
    const group = await Group.of(names);
    await produce(group, await group.leader(), 0, 20);
    const { name } = group.follower().member;
    await group.crash(name);
    await group.putBack(name, { raft: new MemoryDirectory(), log: new MemoryDirectory() });
    const { member } = await group.start(name);
    expect(member.id).toBe(4);
    await expectWhole(group, 20);
  });

  it.each([
    ['all of it', () => true],
    ['all of its stores', (name: string) => name.endsWith('.store')],
  ])('is admitted under a new id if it lost its log, %s', async (_, isLost) => {
    const group = await Group.of(names);
    await produce(group, await group.leader(), 0, 20);
    const { name } = group.follower().member;
    await group.stop(name);
    const { log } = group.disk(name);
    for (const file of await log.list()) if (isLost(file)) await log.remove(file);
    const { member, lines } = await group.start(name);
    expect(member.id).toBe(4);
    expect(eventsOf({ lines })).toContain('log_missing');
    await expectWhole(group, 20);
  });

  it('does not run Raft under an id that its disk knows and its peers know to be an earlier one', async () => {
    const { group, follower, copy } = await loneWitness();
    const { name, id } = follower.member;
    await group.stop(name);
    await group.putBack(name, copy);
    expect((await group.start(name)).member.id).toBe(4);
    await expectWhole(group, 20);
    await rest(group);
    await stopAll(group, 'crash');
    // Only its log knows of the id that it has now.
    await group.putBack(name, { raft: copy.raft });
    await startAll(group);
    expect(group.running.get(name)?.member.id).toBeGreaterThan(4);
    expect(id).toBeLessThan(4);
  });

  it('asks those that the leader names, if the voters that its disk knows were replaced', async () => {
    const group = await Group.of(names);
    const leader = await group.leader();
    const [kept, lost] = [...group.running.values()].filter((each) => each !== leader);
    await produce(group, leader, 0, 10);
    const copy = await group.copyDisk(kept.member.name);
    await group.stop(lost.member.name);
    await group.start(lost.member.name, { disk: emptyDisk('00000000-0000-4000-8000-0000000000ff') });
    const isReplaced = (): boolean => {
      const { members, confState } = leader.node.leadership.configuration;
      return members.length === 3 && confState.voters.length === 3 && confState.voters.includes(4);
    };
    await group.until(isReplaced);
    await rest(group);
    await group.crash(kept.member.name);
    await group.putBack(kept.member.name, { raft: copy.raft });
    await group.start(kept.member.name);
    await expectWhole(group, 10);
  });

  it('asks those that an answer names, if a voter that its disk knows was removed and nobody leads', async () => {
    const group = await Group.of([...names, 'n4']);
    const leader = await group.leader();
    const [lagging, removed] = [...group.running.values()].filter((each) => each !== leader);
    await produce(group, leader, 0, 10);
    for (const { member } of group.running.values())
      if (member.id !== lagging.member.id) group.network.cut(member.id, lagging.member.id);
    await group.settled(leader.cluster.removeMember(removed.member.name, forever));
    await stopAll(group);
    group.network.heal();
    // Two of the four voters that its disk knows are gone: the removed one and one of the others.
    await startAll(group, [leader.member.name, lagging.member.name]);
    await expectWhole(group, 10);
  });

  it('stays amnesiac if it is killed while it catches up', async () => {
    const { group, follower, copy } = await loneWitness();
    const { name } = follower.member;
    await group.stop(name);
    await group.putBack(name, copy);
    const ids: number[] = [];
    for (let round = 0; round < 4; round++) {
      const { member } = await group.start(name);
      ids.push(member.id);
      await group.crash(name);
    }
    expect(new Set(ids)).toEqual(new Set([4]));
    await group.start(name);
    await expectWhole(group, 20);
  });

  it('has no leader if every member did so at another time, and says which one is ahead', async () => {
    const group = await Group.of(names);
    const leader = await group.leader();
    const copies: [string, GroupDisk][] = [];
    for (const [i, name] of names.entries()) {
      await produce(group, leader, i * 10, i * 10 + 10);
      await rest(group);
      copies.push([name, await group.copyDisk(name)]);
    }
    await stopAll(group);
    for (const [name, copy] of copies) await group.putBack(name, copy);
    const begun = await Promise.all(names.map((name) => group.begin(name)));
    await rest(group, 40_000);
    const [first, second] = begun;
    for (const each of [first, second]) {
      expect(each.started.work.raft).toBeUndefined();
      expect(each.started.work.waiting).toMatch(/n3 has the log up to entry \d+ of term \d+; see golog recover/);
    }
    expect(begun.some(({ started }) => started.work.raft?.node.leadership.isLeader === true)).toBe(false);
  });
});

describe('the files of identity', () => {
  it.each(['incarnation', 'peer-notes'])(
    'may be damaged (%s): the node says so and goes on, or joins again',
    async (file) => {
      const group = await Group.of(names);
      await produce(group, await group.leader(), 0, 10);
      const { name } = group.follower().member;
      await rest(group);
      await group.stop(name);
      await writeDurably(group.disk(name).raft, file, [new Uint8Array(8192).fill(0xaa)]);
      const { member, lines } = await group.start(name);
      expect(member.id).toBe(file === 'incarnation' ? 4 : names.indexOf(name) + 1);
      expect(eventsOf({ lines })).toContain(file === 'incarnation' ? 'data_directory_changed' : 'peer_notes_lost');
      await expectWhole(group, 10);
    },
  );
});
