import { describe, expect, it } from '@jest/globals';
import type { CommitLog } from '../../src/application/ports/commit-log.js';
import { OutcomeUnknownError, QuorumDiskFullError, UnavailableError } from '../../src/application/errors.js';
import { ExpectedOffsetMismatchError } from '../../src/domain/log/errors.js';
import { toOffset } from '../../src/domain/log/offsets.js';
import { message } from '../../src/domain/raft/message.js';
import { batchAfter, emptyDisk, Group, records, uuidOf, valuesOf } from './group.js';

const names = ['n1', 'n2', 'n3'];
const forever = new AbortController().signal;

async function groupOfThree(options: Parameters<typeof Group.of>[1] = {}): Promise<Group> {
  const group = await Group.of(names, options);
  await group.leader();
  return group;
}

/** Returns a set of names: the disks of those nodes are full. */
function fillable(group: Group): Set<string> {
  const full = new Set<string>();
  for (const name of group.running.keys()) {
    const { log } = group.disk(name);
    const freeBytes = log.freeBytes.bind(log);
    log.freeBytes = () => (full.has(name) ? Promise.resolve(0) : freeBytes());
  }
  return full;
}

/** Resolves when the followers have looked at their disks, and told the leader in their answers to heartbeats. */
async function looksAtDisks(group: Group): Promise<void> {
  const began = group.clock.now();
  await group.until(() => group.clock.now() - began >= 3_000);
}

describe('a group of one', () => {
  it('leads when it has started, and has what it acknowledged after a restart', async () => {
    const group = await Group.of(['n1']);
    const { node } = group.get('n1');
    expect(node.leadership.isLeader).toBe(true);
    const receipt = await group.settled(node.propose(records('a', 'b')));
    expect(receipt).toMatchObject({ baseOffset: 0, recordCount: 2, syncedOn: ['n1'] });
    await group.stop('n1');
    const again = await group.start('n1');
    expect(await valuesOf(again)).toEqual(['a', 'b']);
    const next = await group.settled(again.node.propose(records('c')));
    expect(next.baseOffset).toBe(2);
    expect(next.term).toBeGreaterThan(receipt.term);
  });
});

describe('three nodes', () => {
  it('replicate, and name the nodes that are known to hold a batch', async () => {
    const group = await groupOfThree();
    const leader = await group.leader();
    const receipt = await group.settled(leader.node.propose(records('a')));
    expect(receipt.syncedOn.length).toBeGreaterThanOrEqual(2);
    expect(receipt.syncedOn[0]).toBe(leader.member.name);
    for (const name of names) {
      await group.until(() => group.get(name).node.highWatermark === 1);
      expect(await valuesOf(group.get(name))).toEqual(['a']);
    }
  });

  it('accept appends at a follower, in the order of the calls', async () => {
    const group = await groupOfThree();
    const { node } = group.follower();
    const receipts = await group.settled(
      Promise.all(Array.from({ length: 50 }, (_, i) => node.propose(records(String(i))))),
    );
    expect(receipts.map(({ baseOffset }) => baseOffset)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });

  it('continue without the leader, and bring it up to date when it returns', async () => {
    const group = await groupOfThree();
    const first = await group.leader();
    await group.settled(first.node.propose(records('a')));
    await group.stop(first.member.name);
    const second = await group.leader();
    await group.settled(second.node.propose(records('b')));
    const back = await group.start(first.member.name);
    await group.until(() => back.node.highWatermark === 2);
    expect(await valuesOf(back)).toEqual(['a', 'b']);
  });

  it('report the outcome of an append as unknown when its leader is cut off, and never store it', async () => {
    const group = await groupOfThree();
    const old = await group.leader();
    await group.settled(old.node.propose(records('a')));
    for (const { member } of group.running.values()) {
      if (member.id !== old.member.id) group.network.cut(old.member.id, member.id);
    }
    const lost = old.node.propose(records('lost'));
    lost.catch(() => undefined);
    const others = (): boolean =>
      [...group.running.values()].some(({ node, member }) => node.leadership.isLeader && member.id !== old.member.id);
    await group.until(others);
    await expect(group.settled(lost)).rejects.toBeInstanceOf(OutcomeUnknownError);
    const fresh = await group.leader();
    await group.settled(fresh.node.propose(records('b')));
    group.network.heal();
    await group.until(() => old.node.highWatermark === 2);
    expect(await valuesOf(old)).toEqual(['a', 'b']);
    expect(old.fatal).toEqual([]);
  });

  it('refuse appends at once, as retryable, while there is no leader', async () => {
    const group = await groupOfThree();
    const leader = await group.leader();
    for (const name of names) if (name !== leader.member.name) await group.stop(name);
    await group.until(() => !leader.node.leadership.isLeader);
    await expect(leader.node.propose(records('x'))).rejects.toBeInstanceOf(UnavailableError);
    const status = await leader.cluster.status({ signal: forever });
    expect(status.problem).toMatch(
      /no leader; n\d unreachable for \d+ s; n\d unreachable for \d+ s; 1 of 3 voters reachable from here, need 2/,
    );
  });

  it('serve a linearizable read at a follower only once it has everything acknowledged before', async () => {
    const group = await groupOfThree();
    const leader = await group.leader();
    await group.settled(leader.node.propose(records('a')));
    const { service } = group.follower();
    const read = service.read('earliest', { signal: forever, linearizable: true });
    expect((await group.settled(read)).highWatermark).toBe(1);
  });

  it('check an expected offset, and answer a mismatch only with committed offsets', async () => {
    const group = await groupOfThree();
    const { node } = await group.leader();
    await group.settled(node.propose(records('a'), { expectedOffset: toOffset(0) }));
    await expect(group.settled(node.propose(records('b'), { expectedOffset: toOffset(0) }))).rejects.toEqual(
      new ExpectedOffsetMismatchError(toOffset(0), toOffset(1)),
    );
    const missed = group.follower().node.propose(records('b'), { expectedOffset: toOffset(7) });
    await expect(group.settled(missed)).rejects.toBeInstanceOf(ExpectedOffsetMismatchError);
  });

  it('transfer leadership before a graceful stop', async () => {
    const group = await groupOfThree();
    const leader = await group.leader();
    await group.settled(leader.node.giveUpLeadership());
    expect(leader.node.leadership.isLeader).toBe(false);
    const before = group.clock.now();
    const transferee = await group.leader();
    expect(transferee.member.name).not.toBe(leader.member.name);
    expect(group.clock.now() - before).toBeLessThan(500);
  });

  it('know at any time to which voter leadership can be transferred', async () => {
    const group = await groupOfThree();
    const leader = await group.leader();
    const began = group.clock.now();
    const unknownAt: number[] = [];
    await group.until(() => {
      const ms = group.clock.now() - began;
      if (ms > 1_000 && leader.node.leadership.transferee() === undefined) unknownAt.push(ms);
      return ms > 10_000;
    });
    expect(unknownAt).toEqual([]);
  });

  it('transfer leadership when the disk of the leader is full, and refuse appends when every disk is', async () => {
    const group = await groupOfThree();
    const full = fillable(group);
    /** Appends until the answer is not retryable. */
    const append = async (value: string): Promise<unknown> => {
      for (;;) {
        const { node } = await group.leader();
        const error: unknown = await group.settled(node.propose(records(value))).then(
          () => undefined,
          (reason: unknown) => reason,
        );
        if (!(error instanceof UnavailableError)) return error;
        // A node with a full disk does not take over.
        let ms = 0;
        await group.until(() => !node.leadership.isLeader || (ms += 10) > 1_000);
      }
    };
    const first = await group.leader();
    full.add(first.member.name);
    group.clock.advance(1_000);
    expect(await append('a')).toBeUndefined();
    const second = await group.leader();
    expect(second.member.name).not.toBe(first.member.name);
    for (const name of group.running.keys()) full.add(name);
    await looksAtDisks(group);
    expect(await append('b')).toBeInstanceOf(QuorumDiskFullError);
    full.clear();
    await looksAtDisks(group);
    expect(await append('c')).toBeUndefined();
    expect(await valuesOf(await group.leader())).toEqual(['a', 'c']);
  });

  it('do not pass leadership around while small appends fit on every disk and large ones do not', async () => {
    const group = await groupOfThree();
    for (const name of names) group.disk(name).log.freeBytes = () => Promise.resolve(100_000);
    await looksAtDisks(group);
    const large = 'x'.repeat(200_000);
    const beganMs = group.clock.now();
    for (let i = 0; i < 20; i++)
      for (const value of [large, 'small']) {
        const { node } = await group.leader();
        await group.settled(node.propose(records(value)).catch(() => undefined));
      }
    expect(group.clock.now() - beganMs).toBeLessThan(30_000);
    const transfers = [...group.running.values()]
      .flatMap(({ lines }) => lines)
      .filter(({ event, fields }) => event === 'disk_full' && 'memberId' in fields);
    expect(transfers.length).toBeLessThanOrEqual(names.length);
  });

  it.each(['two followers', 'the leader and a follower'])(
    'refuse an append at once while the disks of %s are full',
    async (those) => {
      const group = await groupOfThree();
      const full = fillable(group);
      const leader = await group.leader();
      await group.settled(leader.node.propose(records('a')));
      const followers = [...group.running.keys()].filter((name) => name !== leader.member.name);
      const names = those === 'two followers' ? followers : [leader.member.name, followers[0]];
      for (const name of names) full.add(name);
      await looksAtDisks(group);
      for (const { node } of group.running.values()) {
        const at = group.clock.now();
        const refused: unknown = await group.settled(node.propose(records('b')).catch((error: unknown) => error));
        expect(refused).toBeInstanceOf(QuorumDiskFullError);
        expect((refused as QuorumDiskFullError).members).toEqual(names.sort());
        expect(group.clock.now() - at).toBeLessThan(1_000);
      }
      expect((await group.leader()).member.name).toBe(leader.member.name);
      full.clear();
      await looksAtDisks(group);
      await group.settled(leader.node.propose(records('c')));
      expect(await valuesOf(leader)).toEqual(['a', 'c']);
    },
  );

  it('bring a follower up to date from stored segments when memory no longer holds its next entry', async () => {
    const group = await groupOfThree({ segmentBytesMax: 8 << 20 });
    const { member } = group.follower();
    await group.stop(member.name);
    const leader = await group.leader();
    const big = 'x'.repeat(900_000);
    for (let i = 0; i < 60; i++) await group.settled(leader.node.propose(records(`${i} ${big}`)));
    const back = await group.start(member.name);
    await group.until(() => back.node.highWatermark === 60);
    await group.settled(leader.node.propose(records('after')));
    await group.until(() => back.node.highWatermark === 61);
    const values = await valuesOf(back);
    expect(values.map((value) => value.split(' ')[0])).toEqual([
      ...Array.from({ length: 60 }, (_, i) => String(i)),
      'after',
    ]);
  }, 60_000);

  it('reset a follower that lacks entries that the leader no longer stores', async () => {
    const group = await groupOfThree({ segmentBytesMax: 1 << 20, retention: { bytesMax: 4 << 20 } });
    const { member } = group.follower();
    await group.settled((await group.leader()).node.propose(records('old')));
    await group.stop(member.name);
    const leader = await group.leader();
    const big = 'x'.repeat(900_000);
    for (let i = 0; i < 60; i++) await group.settled(leader.node.propose(records(`${i} ${big}`)));
    await group.until(() => leader.log.startOffset > 10);
    const back = await group.start(member.name);
    await group.until(() => back.node.highWatermark === 61);
    expect(back.log.startOffset).toBeGreaterThan(1);
    expect((await valuesOf(back)).at(-1)?.split(' ')[0]).toBe('59');
    // Its new log survives a restart.
    await group.stop(member.name);
    const again = await group.start(member.name);
    await group.until(() => again.node.highWatermark === 61);
    expect(again.node.leadership.configuration.members).toHaveLength(3);
  }, 60_000);
});

describe('a driver', () => {
  it('sends nothing of a leadership that ended before its last entries were assigned', async () => {
    const group = await groupOfThree();
    const old = await group.leader();
    // The append waits for a look at the disk, which is due again.
    group.clock.advance(1_000);
    const { term } = old.node.leadership.status.hardState;
    const otherProducer = group.follower().member.id;
    const lost = old.node.propose(records('lost'));
    lost.catch(() => undefined);
    await Promise.resolve();
    const { index, term: logTerm } = { index: old.node.leadership.lastIndex, term };
    const noop = batchAfter(old, term + 1);
    old.node.receive(
      message({
        type: 'MsgApp',
        from: otherProducer,
        to: old.member.id,
        term: term + 1,
        index,
        logTerm,
        entries: [noop],
      }),
    );
    await group.until(() => !old.node.leadership.isLeader || old.node.leadership.status.hardState.term > term);
    expect(old.fatal).toEqual([]);
    await expect(group.settled(lost)).rejects.toBeInstanceOf(UnavailableError);
  });

  it('shows no reader a lower watermark than before a restart', async () => {
    const group = await groupOfThree();
    const leader = await group.leader();
    await group.settled(leader.node.propose(records('a', 'b')));
    const reader = group.follower();
    await group.until(() => reader.node.highWatermark === 2);
    await group.crash(reader.member.name);
    const back = await group.start(reader.member.name);
    expect(back.node.highWatermark).toBe(0);
    const { batches } = await group.settled(back.service.read({ offset: toOffset(1) }, { signal: forever }));
    expect(batches).toHaveLength(1);
  });

  it('reports no lower watermark than before a restart', async () => {
    const group = await groupOfThree();
    const leader = await group.leader();
    const { name } = group.follower().member;
    await group.settled(leader.node.propose(records('a')));
    await group.until(() => group.get(name).node.highWatermark === 1);
    await group.stop(name);
    await group.start(name);
    await group.settled(leader.node.propose(records('b')));
    await group.until(() => group.get(name).node.highWatermark === 2);
    for (const look of [
      async (service: CommitLog) => (await service.info(forever)).highWatermark,
      async (service: CommitLog) => (await service.read({ offset: toOffset(0) }, { signal: forever })).highWatermark,
    ]) {
      await group.crash(name);
      const back = await group.start(name);
      expect(back.node.highWatermark).toBe(1);
      expect(await group.settled(look(back.service))).toBe(2);
    }
  });

  it('serves records known to be committed after a restart without a leader, but not the end of the log', async () => {
    const group = await groupOfThree();
    const leader = await group.leader();
    const { name } = group.follower().member;
    await group.settled(leader.node.propose(records('a')));
    await group.until(() => group.get(name).node.highWatermark === 1);
    await group.stop(name);
    await group.start(name);
    await group.settled(leader.node.propose(records('b')));
    for (const each of names) await group.crash(each);
    const { service } = await group.begin(name);
    if (service === undefined) throw new Error('it serves nothing');
    const { batches } = await group.settled(service.read({ offset: toOffset(0) }, { signal: forever }));
    expect(batches).toHaveLength(1);
    await expect(group.settled(service.info(forever))).rejects.toBeInstanceOf(UnavailableError);
    await expect(group.settled(service.read('latest', { signal: forever }))).rejects.toBeInstanceOf(UnavailableError);
  });
});

describe('configuration changes', () => {
  it('admit a node as a learner and promote it when it has caught up', async () => {
    const group = await Group.of(['n1']);
    const first = group.get('n1');
    await group.settled(first.node.propose(records('a')));
    await group.start('n2');
    await group.until(() => first.node.leadership.configuration.confState.voters.length === 2);
    const receipt = await group.settled(first.node.propose(records('b')));
    expect(receipt.syncedOn).toEqual(['n1', 'n2']);
    await group.until(() => group.get('n2').node.highWatermark === 2);
    expect(await valuesOf(group.get('n2'))).toEqual(['a', 'b']);
    // A node asks again if the answer got lost.
    const answer = await group.ask('n2', uuidOf('n2'));
    expect(answer).toMatchObject({ kind: 'joined', id: 2 });
  });

  it('admit a node after the first segments were removed', async () => {
    const group = await groupOfThree({ segmentBytesMax: 1 << 20, retention: { bytesMax: 4 << 20 } });
    const leader = await group.leader();
    const fill = async (from: number): Promise<void> => {
      for (let i = from; i < from + 12; i++)
        await group.settled(leader.node.propose(records(`${i} ${'x'.repeat(900_000)}`)));
    };
    await fill(0);
    await group.until(() => leader.log.startOffset > 1);
    await group.start('n4');
    await group.until(() => group.get('n4').node.highWatermark === 12);
    await group.until(() => leader.node.leadership.configuration.confState.voters.length === 4);
    await fill(12);
    await group.until(() => group.get('n4').node.highWatermark === 24);
    expect(group.get('n4').fatal).toEqual([]);
    expect(group.get('n4').node.leadership.configuration.members.map(({ name }) => name)).toEqual([
      'n1',
      'n2',
      'n3',
      'n4',
    ]);
  }, 60_000);

  it('let a lagging member answer members that it does not know yet', async () => {
    const group = await groupOfThree();
    const leader = await group.leader();
    const lagging = group.follower().member;
    for (const { member } of group.running.values())
      if (member.id !== lagging.id) group.network.cut(member.id, lagging.id);
    await group.start('n4');
    await group.until(() => leader.node.leadership.configuration.confState.voters.length === 4);
    await group.settled(leader.cluster.transferLeadership('n4', forever));
    await group.stop(leader.member.name);
    // Three of the four voters are left, and the third one does not know the leader yet.
    group.network.heal();
    const now = await group.leader();
    await group.settled(now.node.propose(records('a')));
    await group.until(() => group.get(lagging.name).node.highWatermark === 1);
  });

  it('remove a member, even the leader', async () => {
    const group = await groupOfThree();
    const leader = await group.leader();
    await group.settled(leader.cluster.removeMember(leader.member.name, forever));
    const next = await group.leader();
    expect(next.member.name).not.toBe(leader.member.name);
    await group.until(() => next.node.leadership.configuration.members.length === 2);
    await group.settled(next.node.propose(records('a')));
  });

  it('admit a node with a wiped disk as a new member that replaces its former self', async () => {
    const group = await groupOfThree();
    const victim = group.follower().member.name;
    await group.settled((await group.leader()).node.propose(records('a')));
    await group.stop(victim);
    const disk = emptyDisk(uuidOf(victim, 1));
    const refused = await group.ask(victim, disk.uuid);
    expect(refused).toMatchObject({ kind: 'retry' });
    await group.until(() => false, 11_000).catch(() => undefined);
    // The first answer gets lost.
    expect(await group.ask(victim, disk.uuid)).toMatchObject({ kind: 'joined', id: 4 });
    await group.start(victim, { disk });
    const { node } = await group.leader();
    await group.until(
      () =>
        node.leadership.configuration.confState.voters.includes(4) &&
        node.leadership.configuration.members.length === 3,
    );
    await group.until(() => group.get(victim).node.highWatermark === 1);
    expect(node.leadership.configuration.confState.votersOutgoing).toEqual([]);
  });

  it('are refused with a reason', async () => {
    const group = await groupOfThree();
    const { cluster } = await group.leader();
    await expect(cluster.removeMember('n9', forever)).rejects.toThrow(
      'n9 is not a member of the cluster; its members are n1, n2, n3',
    );
    await expect(cluster.addMember({ name: 'n1', rpcAddr: 'x:1' }, forever)).rejects.toThrow('n1 is already a member');
    await expect(cluster.promoteMember('n1', forever)).rejects.toThrow('n1 is already a voter');
  });

  it('are forwarded to the leader once, and not from node to node', async () => {
    const group = await groupOfThree();
    const leader = await group.leader();
    const { cluster } = group.follower();
    await expect(cluster.removeMember('n9', forever)).rejects.toThrow('n9 is not a member');
    const { rpcAddr: leaderAddr } = leader.member;
    const { forwarded } = cluster;
    for (const change of [
      forwarded.addMember({ name: 'n4', rpcAddr: 'n4:8400' }, forever),
      forwarded.promoteMember('n1', forever),
      forwarded.removeMember('n1', forever),
      forwarded.transferLeadership('n1', forever),
    ])
      await expect(change).rejects.toMatchObject({ name: 'UnavailableError', leaderAddr });
    expect(await forwarded.status({ signal: forever })).toMatchObject({ answeredBy: group.follower().member.name });
    await expect(leader.cluster.forwarded.removeMember('n9', forever)).rejects.toThrow('n9 is not a member');
  });
});
