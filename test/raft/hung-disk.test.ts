import { describe, expect, it } from '@jest/globals';
import { OverloadedError, UnavailableError } from '../../src/application/errors.js';
import { ExpectedOffsetMismatchError } from '../../src/domain/log/errors.js';
import { toOffset } from '../../src/domain/log/offsets.js';
import { Group, type GroupMember, records, valuesOf } from './group.js';

const forever = new AbortController().signal;
const names = ['n1', 'n2', 'n3'];

/** Has no sync of the node end until the returned function is called, and has it fail if that gets an error. */
function hang({ log, started: { hardState } }: GroupMember): (error?: Error) => void {
  let end: (error?: Error) => void = () => undefined;
  const over = new Promise<void>((resolve, reject) => {
    end = (error) => (error === undefined ? resolve() : reject(error));
  });
  over.catch(() => undefined);
  const [sync, save] = [log.sync.bind(log), hardState.save.bind(hardState)];
  log.sync = () => over.then(sync);
  hardState.save = (...state) => over.then(() => save(...state));
  return end;
}

async function settledGroup(members = names): Promise<{ group: Group; leader: GroupMember; others: GroupMember[] }> {
  const group = await Group.of(members);
  const leader = await group.leader();
  await group.settled(leader.node.propose(records('before')));
  await group.until(() => members.every((name) => group.get(name).node.highWatermark === 1));
  const others = members.filter((name) => name !== leader.member.name).map((name) => group.get(name));
  return { group, leader, others };
}

const eventsOf = ({ lines }: GroupMember): string[] => lines.map(({ event }) => event);
const append = (group: Group, { node }: GroupMember, value: string) => group.settled(node.propose(records(value)));

describe("a leader's disk that hangs", () => {
  it('delays no append that a majority without it has on disk, and is not named as having it', async () => {
    const { group, leader, others } = await settledGroup();
    const end = hang(leader);
    const began = group.clock.now();
    const receipt = await append(group, leader, 'a');
    expect(group.clock.now() - began).toBeLessThan(500);
    expect([...receipt.syncedOn].sort()).toEqual(others.map(({ member }) => member.name));
    await group.until(() => others.every(({ node }) => node.highWatermark === 2));
    expect(leader.node.highWatermark).toBe(1);
    end();
    await group.until(() => leader.node.highWatermark === 2);
    for (const name of names) expect(await valuesOf(group.get(name))).toEqual(['before', 'a']);
  });

  it('shows no more than it has on disk, and says of what was acknowledged that another node has it', async () => {
    const { group, leader } = await settledGroup();
    const end = hang(leader);
    await append(group, leader, 'a');
    const { service } = leader;
    const read = (offset: number) => group.settled(service.read({ offset: toOffset(offset) }, { signal: forever }));
    await expect(read(1)).rejects.toBeInstanceOf(UnavailableError);
    expect((await read(0)).batches).toHaveLength(1);
    await group.until(() => group.readinessOf(leader.member.name).state === 'disk-stalled');
    await expect(read(1)).rejects.toThrow(/not on the disk of this node yet/);
    expect((await group.settled(service.info(forever))).highWatermark).toBe(1);
    const linearizable = service.read('earliest', { signal: forever, linearizable: true });
    await expect(group.settled(linearizable)).rejects.toBeInstanceOf(UnavailableError);
    end();
    await group.until(() => leader.node.highWatermark === 2);
    expect((await read(1)).batches).toHaveLength(1);
  });

  it('delays no answer to an append that expects another offset', async () => {
    const { group, leader } = await settledGroup();
    hang(leader);
    const appended = append(group, leader, 'a');
    const misplaced = leader.node.propose(records('b'), { expectedOffset: toOffset(1) });
    await expect(group.settled(misplaced)).rejects.toThrow(ExpectedOffsetMismatchError);
    await appended;
    expect(leader.node.highWatermark).toBe(1);
  });

  it('transfers leadership after an election timeout, and names the disk meanwhile', async () => {
    const { group, leader, others } = await settledGroup();
    const { name } = leader.member;
    const end = hang(leader);
    await append(group, leader, 'a');
    await group.until(() => others.some(({ node }) => node.leadership.isLeader));
    expect(eventsOf(leader)).toEqual(expect.arrayContaining(['disk_stalled', 'leader_disk_stalled']));
    expect(group.readinessOf(name)).toEqual({
      state: 'disk-stalled',
      problem: expect.stringMatching(new RegExp(`^the disk of ${name} hangs: .* for \\d s`)),
    });
    const next = others.find(({ node }) => node.leadership.isLeader)!;
    await append(group, next, 'b');
    end();
    await group.until(() => group.readinessOf(name).state === 'ready');
    expect(eventsOf(leader)).toContain('disk_recovered');
    for (const each of names) expect(await valuesOf(group.get(each))).toEqual(['before', 'a', 'b']);
  });

  it('transfers leadership to no voter whose disk hangs as well, or that the others could not elect', async () => {
    for (const members of [names, ['n1', 'n2']]) {
      const { group, leader, others } = await settledGroup(members);
      const ends = [leader, ...(members.length === 3 ? others.slice(0, 1) : [])].map((member) => hang(member));
      const appended = leader.node.propose(records('a'));
      await group.until(() => group.readinessOf(leader.member.name).state === 'disk-stalled');
      const since = group.clock.now();
      await group.until(() => group.clock.now() - since > 5_000);
      expect(leader.node.leadership.isLeader).toBe(true);
      expect(eventsOf(leader)).not.toContain('leader_disk_stalled');
      for (const end of ends) end();
      expect((await group.settled(appended)).baseOffset).toBe(1);
    }
  });

  it('accepts only so much that is not on it', async () => {
    const { group, leader, others } = await settledGroup();
    hang(leader);
    const nearlyMebibyte = 'x'.repeat(1_000_000);
    let refused: unknown;
    for (let i = 0; i < 40 && refused === undefined; i++)
      await append(group, leader, nearlyMebibyte).catch((error: unknown) => (refused = error));
    expect(refused).toBeInstanceOf(OverloadedError);
    await group.until(() => others.some(({ node }) => node.leadership.isLeader));
  });

  it('that then fails ends the node, and nothing acknowledged is lost or there twice', async () => {
    const { group, leader, others } = await settledGroup();
    const { name } = leader.member;
    const end = hang(leader);
    await append(group, leader, 'a');
    await append(group, leader, 'b');
    end(Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' }));
    await group.until(() => leader.fatal.length > 0);
    await group.crash(name);
    await group.until(() => others.some(({ node }) => node.leadership.isLeader));
    const again = await group.start(name);
    await group.until(() => again.node.highWatermark === 3);
    for (const each of names) expect(await valuesOf(group.get(each))).toEqual(['before', 'a', 'b']);
  });

  it('lets an append whose leader was replaced meanwhile learn its outcome', async () => {
    const { group, leader, others } = await settledGroup();
    hang(leader);
    await append(group, leader, 'a');
    await group.until(() => others.some(({ node }) => node.leadership.isLeader));
    const next = others.find(({ node }) => node.leadership.isLeader)!;
    const receipt = await group.settled(leader.node.propose(records('b')));
    expect(receipt.baseOffset).toBe(2);
    expect(receipt.syncedOn).not.toContain(leader.member.name);
    expect(await valuesOf(next)).toEqual(['before', 'a', 'b']);
  });
});

describe("a follower's disk that hangs", () => {
  it.each([0, 1, 2, 3])('has the node ask for no vote, so that another one leads: follower %i', async (i) => {
    const { group, leader, others } = await settledGroup(['n1', 'n2', 'n3', 'n4', 'n5']);
    const hung = others[i];
    hang(hung);
    await group.crash(leader.member.name);
    const since = group.clock.now();
    const leaders = new Set<string>();
    await group.until(() => {
      for (const { node, member } of others) if (node.leadership.isLeader) leaders.add(member.name);
      return group.clock.now() - since > 10_000;
    });
    expect(leaders.size).toBe(1);
    expect(leaders).not.toContain(hung.member.name);
  });

  it('is named by that node, which serves what it had', async () => {
    const { group, leader, others } = await settledGroup();
    const [hung] = others;
    const end = hang(hung);
    const receipt = await append(group, leader, 'a');
    expect(receipt.syncedOn).not.toContain(hung.member.name);
    const { name } = hung.member;
    await group.until(() => group.readinessOf(name).state === 'disk-stalled');
    expect(await valuesOf(hung)).toEqual(['before']);
    end();
    await group.until(() => group.readinessOf(name).state === 'ready');
    expect(await valuesOf(hung)).toEqual(['before', 'a']);
  });

  it('is a failure that the leader counts, and two are one too many', async () => {
    const { group, leader, others } = await settledGroup();
    const { name } = leader.member;
    const [hung, other] = others;
    const end = hang(hung);
    await append(group, leader, 'a');
    await group.until(() => group.readinessOf(name).problem !== undefined);
    expect(group.readinessOf(name)).toEqual({
      state: 'ready',
      problem: `degraded: ${hung.member.name} has acknowledged nothing for 1 s: its disk may hang or be full; the cluster tolerates no further failure`,
    });
    const endOther = hang(other);
    const appended = leader.node.propose(records('b'));
    await group.until(() => group.readinessOf(name).state === 'no-leader');
    expect(group.readinessOf(name).problem).toMatch(/^nothing commits; n\d has acknowledged nothing for \d+ s: /);
    end();
    endOther();
    await group.settled(appended);
    await group.until(() => group.readinessOf(name).problem === undefined);
  });

  it('is asked in vain to take over leadership', async () => {
    const { group, leader, others } = await settledGroup();
    const [hung] = others;
    const end = hang(hung);
    await append(group, leader, 'a');
    await group.until(() => group.readinessOf(hung.member.name).state === 'disk-stalled');
    const asked = leader.node.leadership.transferTo(hung.member.id);
    await expect(group.settled(asked)).rejects.toBeInstanceOf(UnavailableError);
    expect(leader.node.leadership.isLeader).toBe(true);
    end();
    await append(group, leader, 'b');
  });
});
