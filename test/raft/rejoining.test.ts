import { describe, expect, it } from '@jest/globals';
import { emptyConfiguration, peersOf } from '../../src/application/configuration/configuration.js';
import { encodeTransfer } from '../../src/application/configuration/configuration-json.js';
import { UnavailableError } from '../../src/application/errors.js';
import { JoinRefusedError } from '../../src/application/join/join-cluster.js';
import { leaveCluster } from '../../src/application/join/leave-cluster.js';
import { pause } from '../../src/application/waiting/pause.js';
import type { JoinTransport } from '../../src/application/ports/join-transport.js';
import { Group, unanswered, logId, records, uuidOf, valuesOf } from './group.js';

const forever = new AbortController().signal;
const names = ['n1', 'n2', 'n3'];

/** Removes the member `name`, and appends without it. */
async function removed(group: Group, name: string): Promise<void> {
  const { node, cluster } = await group.leader();
  await group.settled(cluster.removeMember(name, forever));
  await group.settled(node.propose(records('without it')));
}

describe('a node that was removed', () => {
  it('comes back as a new member, with its log except for entries that no other node has', async () => {
    const group = await Group.of(names);
    const old = await group.leader();
    const { name } = old.member;
    await group.settled(old.node.propose(records('before')));
    for (const { member } of group.running.values())
      if (member.id !== old.member.id) group.network.cut(old.member.id, member.id);
    const { lastIndex } = old.node.leadership;
    void old.node.propose(records('lost')).catch(() => undefined);
    await group.until(() => old.node.leadership.lastIndex > lastIndex);
    await group.crash(name);
    group.network.heal();
    await removed(group, name);

    // It is admitted, and crashes before it has received a message under its new id.
    for (const id of [1, 2, 3]) group.network.cut(id, 4);
    expect((await group.start(name)).member.id).toBe(4);
    const stored = await group.storedConfiguration(name);
    const current = stored?.history.at(-1) ?? emptyConfiguration;
    expect(current.members.map(({ id }) => id)).toEqual([1, 2, 3]);
    expect(peersOf({ current, stored }, 4).map(({ uuid }) => uuid)).not.toContain(old.member.uuid);
    await group.crash(name);
    group.network.heal();
    const back = await group.start(name);
    expect(back.member.id).toBe(4);
    await group.until(() => back.node.highWatermark === 2);
    expect(await valuesOf(back)).toEqual(['before', 'without it']);
    await group.until(() => back.node.leadership.configuration.confState.voters.includes(4));
    expect(back.node.leadership.configuration.confState.voters).not.toContain(old.member.id);
  });

  it('asks until a leader admits it, if it has read in its log that it was removed', async () => {
    const group = await Group.of(names);
    await group.leader();
    const { name } = group.follower().member;
    const left = group.get(name);
    const others = names.filter((each) => each !== name);
    await removed(group, name);
    await group.until(() => left.node.leadership.configuration.members.length === 2);
    for (const each of names) await group.stop(each);
    const starting = group.start(name);
    await Promise.all(others.map((each) => group.start(each)));
    expect((await starting).member.id).toBe(4);
  });
});

describe('a leader that is slow to answer', () => {
  const slow = (group: Group, ms: number): Pick<JoinTransport, 'ask'> => ({
    ask: async (address, ...request) => {
      const { joinTransport } = group.network;
      const asked = [...group.running.values()].find(({ member }) => member.rpcAddr === address);
      if (asked?.node.leadership.isLeader) await pause(group.clock, ms, forever);
      return joinTransport.ask(address, ...request);
    },
  });

  it('is waited for if another node names it', async () => {
    const group = await Group.of(names);
    await group.leader();
    const { name } = group.follower().member;
    await group.stop(name);
    await removed(group, name);
    expect((await group.start(name, { joinTransport: slow(group, 8_000) })).member.id).toBe(4);
  });

  it('is waited for at most ten seconds', async () => {
    const group = await Group.of(names);
    await group.leader();
    const { name, id } = group.follower().member;
    await group.stop(name);
    const began = group.clock.now();
    expect((await group.start(name, { joinTransport: slow(group, 12_000) })).member.id).toBe(id);
    expect(group.clock.now() - began).toBeLessThan(12_000);
  });
});

describe('a node that leaves', () => {
  it('asks again if leadership could not be transferred at once', async () => {
    const group = await Group.of(names);
    const { cluster, member } = await group.leader();
    const others = names.filter((name) => name !== member.name).map((name) => group.get(name));
    for (const other of others) group.network.cut(member.id, other.member.id);
    const left = leaveCluster({ cluster, name: member.name, clock: group.clock });
    const mended = pause(group.clock, 1_500, forever).then(() => group.network.heal());
    await group.settled(Promise.all([left, mended]));
    for (const { node } of others)
      expect(node.leadership.configuration.members.map(({ name }) => name)).not.toContain(member.name);
  });

  it('rejects after three seconds with the reason why it is still a member', async () => {
    const group = await Group.of(names);
    const { cluster, member } = await group.leader();
    for (const name of names) if (name !== member.name) await group.stop(name);
    const began = group.clock.now();
    const left = leaveCluster({ cluster, name: member.name, clock: group.clock });
    await expect(group.settled(left)).rejects.toThrow(UnavailableError);
    expect(group.clock.now() - began).toBeLessThanOrEqual(3_010);
  });
});

describe('a node that is a member', () => {
  it('keeps its id, with an answer and without', async () => {
    const group = await Group.of(names);
    const { name, id } = (await group.leader()).member;
    await group.stop(name);
    await group.leader();
    expect((await group.start(name)).member.id).toBe(id);
    for (const each of [...group.running.keys()]) await group.stop(each);
    const starting = names.map((each) => group.start(each, { joinTransport: unanswered }));
    const started = await Promise.all(starting);
    expect(started.find(({ member }) => member.name === name)?.member.id).toBe(id);
  });

  it('is not admitted to another cluster, and does not return to an id that it had before', async () => {
    const group = await Group.of(names);
    const { name, id } = (await group.leader()).member;
    await group.stop(name);
    const { cluster } = await group.leader();
    const foreign = new Uint8Array(16).fill(8);
    expect((await group.start(name, { claims: { clusterId: foreign } })).member.id).toBe(id);
    await group.stop(name);
    const joiner = { name, uuid: 'another', rpcAddr: '', bootstrapExpect: 0, featureLevel: 1, clusterId: foreign };
    expect(await cluster.admit(joiner)).toMatchObject({
      kind: 'refused',
      reason: expect.stringContaining('has the log of another cluster'),
    });
    const configuration = encodeTransfer({ configuration: emptyConfiguration, offset: 0, contacts: [] });
    const ask = async () => ({ kind: 'joined', clusterId: logId, id: 0, configuration }) as const;
    expect((await group.start(name, { joinTransport: { ask } })).member.id).toBe(id);
  });
});

/** Starts a second process from a copy of the running node's directory, at another address. */
async function startMoved(group: Group, name: string) {
  let started = false;
  const disk = await group.copyDisk(name);
  const starting = group.start(name, { disk, claims: { rpcAddr: 'moved:8400' } }).finally(() => (started = true));
  return { starting, isStarted: () => started };
}

describe('a node with the UUID of a member', () => {
  const claim = (name: string, as: { readonly name?: string; readonly rpcAddr?: string }) => ({
    name,
    uuid: uuidOf(name),
    rpcAddr: `${name}:8400`,
    bootstrapExpect: 0,
    featureLevel: 1,
    ...as,
  });

  it.each(['the leader', 'a follower'])('does not replace %s, which continues', async (seat) => {
    const group = await Group.of(names);
    const leader = await group.leader();
    const { name, rpcAddr } = seat === 'the leader' ? leader.member : group.follower().member;
    const before = leader.node.leadership.configuration;
    const answers = async (as: Parameters<typeof claim>[1]) => group.settled(leader.cluster.admit(claim(name, as)));
    expect(await answers({ rpcAddr: 'elsewhere:1' })).toMatchObject({ kind: 'retry', aliveAt: rpcAddr });
    for (const as of [{ name: 'n9' }, { name: 'n9', rpcAddr: 'elsewhere:1' }])
      expect(await answers(as)).toMatchObject({
        kind: 'refused',
        clusterId: logId,
        reason: expect.stringContaining(`start it with --node-name ${name}`),
      });
    // A claim that matches the member changes nothing.
    expect(await answers({})).toMatchObject({ kind: 'joined' });
    expect(leader.node.leadership.configuration).toBe(before);
    await group.settled(leader.node.propose(records('goes on')));
  });

  it('does not take the address of another live member', async () => {
    const group = await Group.of(names);
    const { cluster, member } = await group.leader();
    const [crashed, other] = names.filter((name) => name !== member.name);
    await group.crash(crashed);
    for (const rpcAddr of [`${other}:8400`, member.rpcAddr])
      for (const joiner of [claim(crashed, { rpcAddr }), claim('n9', { rpcAddr })])
        expect(await group.settled(cluster.admit(joiner))).toMatchObject({
          kind: 'retry',
          reason: expect.stringContaining(`${rpcAddr} is the address of the member`),
        });
  });

  it('is detected by the member itself, whether it leads or not, and audited', async () => {
    const group = await Group.of(names);
    await group.leader();
    for (const { cluster, member, lines } of group.running.values()) {
      const twin = claim(member.name, { rpcAddr: 'elsewhere:1' });
      expect(await group.settled(cluster.admit(twin))).toMatchObject({ kind: 'retry', aliveAt: member.rpcAddr });
      await group.settled(cluster.admit(twin));
      const logged = lines.filter(({ fields }) => JSON.stringify(fields).includes('elsewhere:1'));
      expect(logged.map(({ event }) => event)).toEqual(['join_deferred', 'data_directory_copied']);
      expect(logged[0].fields).toMatchObject({
        audit: 'join',
        subject: 'anonymous',
        name: member.name,
        uuid: twin.uuid,
        rpcAddr: 'elsewhere:1',
        decision: 'deferred',
      });
    }
  });

  it('waits while the member answers, and is admitted at its new address once the member has ended', async () => {
    const group = await Group.of(names);
    await group.leader();
    const { member, log } = group.follower();
    const { name, id } = member;
    await group.until(() => [...group.running.values()].every((each) => each.log.lastIndex === log.lastIndex));
    const { starting, isStarted } = await startMoved(group, name);
    const began = group.clock.now();
    await group.until(() => group.clock.now() - began > 20_000);
    expect(isStarted()).toBe(false);
    await group.crash(name);
    expect((await starting).member.id).toBe(id);
    const { node } = await group.leader();
    expect(node.leadership.configuration.members).toContainEqual(
      expect.objectContaining({ id, name, rpcAddr: 'moved:8400' }),
    );
  });

  it('waits while the member answers, even without a leader', async () => {
    const group = await Group.of(names);
    const { name } = (await group.leader()).member;
    for (const other of names.filter((each) => each !== name)) await group.crash(other);
    await group.until(() => !group.get(name).node.leadership.isLeader);
    const left = group.get(name).member.id;
    const { starting, isStarted } = await startMoved(group, name);
    const began = group.clock.now();
    await group.until(() => group.clock.now() - began > 20_000);
    expect(isStarted()).toBe(false);
    await group.crash(name);
    // The others cannot tell whether it was in both majorities, so it waits for both of them.
    await Promise.all(names.filter((each) => each !== name).map((each) => group.start(each)));
    expect((await starting).member.id).toBe(left);
  });

  it('must use the name of the member until the member is removed', async () => {
    const group = await Group.of(names);
    await group.leader();
    const { name } = group.follower().member;
    await group.stop(name);
    await group.leader();
    await expect(group.start(name, { claims: { name: 'n9' } })).rejects.toThrow(JoinRefusedError);
    await removed(group, name);
    expect((await group.start(name, { claims: { name: 'n9' } })).member.id).toBe(4);
    const { node } = await group.leader();
    expect(node.leadership.configuration.members).toContainEqual(expect.objectContaining({ id: 4, name: 'n9' }));
  });
});
