import { describe, expect, it } from '@jest/globals';
import type { JoinAnswer } from '../../src/application/ports/join-transport.js';
import { RemovedNode } from '../../src/application/node/removed-node.js';
import { emptyDisk, Group, type GroupMember, logId, memberOf, records, unanswered, uuidOf, valuesOf } from './group.js';

const forever = new AbortController().signal;
const names = ['n1', 'n2', 'n3'];

async function remove(group: Group, name: string, removal: 'on request' | 'as dead'): Promise<void> {
  const { cluster } = await group.leader();
  await group.settled(cluster.removeMember(name, forever, removal));
}

const removedIn = ({ node }: GroupMember): unknown => node.leadership.configuration.removed;

describe('a member that is removed while it runs', () => {
  it.each(['cut off', 'in touch'])('joins again with what it has, if it was removed as dead: %s', async (how) => {
    const group = await Group.of(names);
    const leader = await group.leader();
    await group.settled(leader.node.propose(records('before')));
    const left = group.follower();
    const { name, id, uuid } = left.member;
    if (how === 'cut off') for (const other of [1, 2, 3]) if (other !== id) group.network.cut(id, other);
    await remove(group, name, 'as dead');
    expect(removedIn(leader)).toEqual([{ id, uuid, removal: 'as dead' }]);
    await group.settled(leader.node.propose(records('without it')));
    group.network.heal();
    const raft = (): GroupMember['node'] | undefined =>
      'raft' in left.started.work
        ? (left.started.work.raft as { node: GroupMember['node'] } | undefined)?.node
        : undefined;
    await group.until(() => raft()?.leadership.status.id === 4);
    await group.until(() => raft()?.leadership.configuration.confState.voters.includes(4) === true);
    await group.until(() => raft()?.highWatermark === 2);
    expect(await valuesOf({ ...left, node: raft()! })).toEqual(['before', 'without it']);
    expect(left.fatal).toEqual([]);
    expect(removedIn(leader)).toBeUndefined();
  });

  it('stays out if it was removed on request, and is remembered until it starts again', async () => {
    const group = await Group.of(names);
    const leader = await group.leader();
    const left = group.follower();
    const { name, id, uuid } = left.member;
    for (const other of [1, 2, 3]) if (other !== id) group.network.cut(id, other);
    await remove(group, name, 'on request');
    group.network.heal();
    await group.until(() => left.started.consensus instanceof RemovedNode);
    await group.until(() => false, 20_000).catch(() => undefined);
    expect(left.started.consensus).toBeInstanceOf(RemovedNode);
    expect(removedIn(leader)).toEqual([{ id, uuid, removal: 'on request' }]);
    // Any member says so.
    const joiner = { ...left.member, bootstrapExpect: 0, clusterId: logId, runsAs: id };
    for (const { cluster } of group.running.values())
      if (cluster !== left.cluster)
        expect(await group.settled(cluster.admit(joiner))).toMatchObject({ kind: 'refused', removal: 'on request' });
    await group.stop(name);
    expect((await group.start(name)).member.id).toBe(4);
    await group.until(() => leader.node.leadership.configuration.confState.voters.includes(4));
    expect(removedIn(leader)).toBeUndefined();
  });

  it('says so where the cluster refuses it when it would join again', async () => {
    const group = await Group.of(names);
    const { name } = group.follower().member;
    await group.stop(name);
    const { joinTransport } = group.network;
    const refusal = { kind: 'refused', reason: 'the cluster is full', clusterId: logId } as const;
    const ask: typeof joinTransport.ask = (to, joiner, signal) =>
      joiner.runsAs === undefined && refuses ? Promise.resolve(refusal) : joinTransport.ask(to, joiner, signal);
    let refuses = false;
    const { member } = await group.start(name, { joinTransport: { ask } });
    for (const other of [1, 2, 3]) if (other !== member.id) group.network.cut(member.id, other);
    await remove(group, name, 'as dead');
    refuses = true;
    group.network.heal();
    await group.until(() => group.readinessOf(name).state === 'removed');
    expect(group.readinessOf(name)).toMatchObject({
      problem: expect.stringMatching(/the cluster is full\. Restart it/),
    });
  });

  it('joins again if it was admitted again already, by a request whose answer was lost', async () => {
    const group = await Group.of(names);
    const leader = await group.leader();
    const left = group.follower();
    const { name, id, uuid } = left.member;
    for (const other of [1, 2, 3]) if (other !== id) group.network.cut(id, other);
    await remove(group, name, 'on request');
    expect(await group.ask(name, uuid)).toMatchObject({ kind: 'joined', id: 4 });
    group.network.heal();
    await group.until(() => left.started.work.raft?.node.leadership.status.id === 4);
    await group.until(() => leader.node.leadership.configuration.confState.voters.includes(4));
    expect(left.fatal).toEqual([]);
  });

  it('stays out if another disk has taken its seat in the meantime', async () => {
    const group = await Group.of(names);
    const leader = await group.leader();
    const left = group.follower();
    const { name, id } = left.member;
    for (const other of [1, 2, 3]) if (other !== id) group.network.cut(id, other);
    await group.until(() => (leader.node.leadership.heardMsAgo(id) ?? Infinity) > 10_000);
    const disk = emptyDisk(uuidOf(name, 2));
    const startJoinAddrs = [leader.started.gossipAddr];
    const next = await group.begin(name, { disk, startJoinAddrs, claims: { rpcAddr: 'next:8400' } });
    await group.until(() => leader.node.leadership.configuration.confState.voters.includes(4));
    group.network.heal();
    await group.until(() => left.started.consensus instanceof RemovedNode);
    // The new disk is away for longer than a member may be silent before another of its name replaces it.
    await group.settled(next.started.close());
    group.network.serve('next:8400', {});
    await group.until(() => false, 30_000).catch(() => undefined);
    expect(left.started.consensus).toBeInstanceOf(RemovedNode);
    expect(leader.node.leadership.configuration.confState).toMatchObject({
      voters: [1, 2, 3, 4].filter((each) => each !== id),
      learners: [],
    });
  });

  it('joins again if it was removed on request before it was started', async () => {
    const group = await Group.of(names);
    const leader = await group.leader();
    const { name } = group.follower().member;
    await group.stop(name);
    await remove(group, name, 'on request');
    // While no leader answers, its peers vouch for it, and it runs under its former id.
    let answers = false;
    const { joinTransport } = group.network;
    const ask: typeof joinTransport.ask = (...asked) => (answers ? joinTransport.ask(...asked) : unanswered.ask());
    const back = await group.start(name, { joinTransport: { ask } });
    expect(back.member.id).toBeLessThan(4);
    answers = true;
    await group.until(() => back.started.work.raft?.node.leadership.status.id === 4);
    await group.until(() => leader.node.leadership.configuration.confState.voters.includes(4));
    expect(back.fatal).toEqual([]);
  });

  it('is not taken for removed while nobody leads', async () => {
    const group = await Group.of(names);
    const { name } = (await group.leader()).member;
    await group.stop(name);
    const [one, other] = [...group.running.values()];
    group.network.cut(one.member.id, other.member.id);
    await group.until(() => false, 20_000).catch(() => undefined);
    for (const { started } of [one, other]) expect(started.consensus).not.toBeInstanceOf(RemovedNode);
  });
});

describe('nodes that join and are not heard from', () => {
  const joins = async (group: Group, name: string, disk: number): Promise<JoinAnswer> => {
    const { cluster } = await group.leader();
    const joiner = { ...memberOf(name, 0), uuid: uuidOf(name, disk), bootstrapExpect: 0, featureLevel: 1 };
    return group.settled(cluster.admit(joiner));
  };

  it('have one seat if they have one name', async () => {
    const group = await Group.of(names);
    const { node } = await group.leader();
    for (let disk = 1; disk <= 100; disk++)
      expect(await joins(group, 'n9', disk)).toMatchObject({ kind: 'joined', id: 3 + disk });
    const { members, confState } = node.leadership.configuration;
    expect(members.map(({ id }) => id)).toEqual([1, 2, 3, 103]);
    expect(confState).toMatchObject({ voters: [1, 2, 3], learners: [103] });
  });

  it('replace a dead voter of their name, whichever of them catches up', async () => {
    const group = await Group.of(names);
    const leader = await group.leader();
    const { name, id } = group.follower().member;
    await group.stop(name);
    await group.until(() => (leader.node.leadership.heardMsAgo(id) ?? Infinity) > 10_000);
    for (const disk of [1, 2]) await joins(group, name, disk);
    const { members } = leader.node.leadership.configuration;
    expect(members.filter((member) => member.name === name)).toMatchObject([{ id }, { id: 5, replaces: id }]);
  });

  it('are at most 64', async () => {
    const group = await Group.of(names);
    const { node, cluster } = await group.leader();
    for (let i = 4; i <= 64; i++) expect(await joins(group, `n${i}`, 1)).toMatchObject({ kind: 'joined' });
    const refused = { kind: 'refused', reason: expect.stringMatching(/has 64 members, the most .* --replica$/) };
    expect(await joins(group, 'n65', 1)).toMatchObject(refused);
    await expect(cluster.addMember(memberOf('n65', 0), forever)).rejects.toThrow('has 64 members');
    expect(await joins(group, 'n64', 2)).toMatchObject({ kind: 'joined' });
    expect(node.leadership.configuration.members).toHaveLength(64);
  }, 60_000);
});
