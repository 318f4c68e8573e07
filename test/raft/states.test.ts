import { describe, expect, it } from '@jest/globals';
import type { NodeState } from '../../src/application/ports/readiness.js';
import { Group, memberOf, noteless, records, unanswered } from './group.js';

const forever = new AbortController().signal;
const names = ['n1', 'n2', 'n3'];

/** A group whose members are all ready, after an append. */
async function readyGroup(): Promise<Group> {
  const group = await Group.of(names);
  const leader = await group.leader();
  await group.settled(leader.node.propose(records('a')));
  await becomes(group, 'ready', ...names);
  return group;
}

/** Advances the clock until the nodes are in this state. */
async function becomes(group: Group, state: NodeState, ...nodes: readonly string[]): Promise<void> {
  await group.until(() => nodes.every((name) => group.readinessOf(name).state === state));
}

/** The problem in the status that the node gives of itself. */
async function problemAt(group: Group, { work }: { readonly work: object }): Promise<string | undefined> {
  const { raft, consensus } = work as { raft?: { cluster: StatusSource }; consensus: StatusSource };
  return (await group.settled((raft?.cluster ?? consensus).status({ signal: forever, local: true }))).problem;
}
interface StatusSource {
  status(options: { readonly signal: AbortSignal; readonly local: boolean }): Promise<{ readonly problem?: string }>;
}

/** Flips a bit in the middle of what the node has stored. */
async function damage(group: Group, name: string): Promise<void> {
  const { log } = group.disk(name);
  const store = (await log.list()).filter((each) => each.endsWith('.store')).at(-1)!;
  const file = await log.open(store);
  const at = (await file.size()) >> 1;
  const [byte] = await file.read(at, 1);
  await file.write(at, [Uint8Array.of(byte ^ 1)]);
}

function cutOff(group: Group, id: number): void {
  for (const other of [1, 2, 3, 4]) if (other !== id) group.network.cut(id, other);
}

describe('the state of a member', () => {
  it('is ready, without a problem, while all is well', async () => {
    const group = await readyGroup();
    for (const name of names) expect(group.readinessOf(name)).toEqual({ state: 'ready' });
    for (const { started } of group.running.values()) expect(await problemAt(group, started)).toBeUndefined();
  });

  it('has no false alarm while a leader is new', async () => {
    const group = await Group.of(names);
    const alarms: unknown[] = [];
    for (let leaders = 0; leaders < 3; leaders++) {
      const { node, member } = await group.leader();
      const since = group.clock.now();
      await group.until(() => {
        const { problem } = group.readinessOf(member.name);
        if (problem !== undefined) alarms.push(problem);
        return group.clock.now() - since > 3_000;
      });
      await group.settled(node.giveUpLeadership());
    }
    expect(alarms).toEqual([]);
  });

  it('is ready in a cluster of one, at once', async () => {
    const group = new Group();
    await group.start('n1');
    expect(group.readinessOf('n1')).toEqual({ state: 'ready' });
  });

  it('is ready, with a problem at the leader, while the cluster lacks a voter: F23', async () => {
    const group = await readyGroup();
    const leader = await group.leader();
    const { name } = group.follower().member;
    await group.stop(name);
    const saysSo = (): boolean => group.readinessOf(leader.member.name).problem !== undefined;
    await group.until(saysSo);
    await group.until(() => group.readinessOf(leader.member.name).problem?.includes('for 31 s') === true);
    const expected = `degraded: ${name} unreachable for 31 s; the cluster tolerates no further failure`;
    expect(group.readinessOf(leader.member.name)).toEqual({ state: 'ready', problem: expected });
    expect(await problemAt(group, leader.started)).toBe(expected);
    for (let i = 0; i < 20; i++) {
      void leader.node.propose(records(`in flight ${i}`));
      expect(group.readinessOf(leader.member.name).problem).toMatch(/^degraded: /);
    }
    await group.until(() => leader.node.highWatermark === 21);
    await group.start(name);
    await group.until(() => !saysSo());
  });

  it('tells how many failures a larger cluster still tolerates', async () => {
    const group = await Group.of([...names, 'n4', 'n5']);
    const leader = await group.leader();
    await group.stop(group.follower().member.name);
    await group.until(() => group.readinessOf(leader.member.name).problem !== undefined);
    expect(group.readinessOf(leader.member.name).problem).toMatch(/tolerates 1 further failure$/);
  });

  it('is no-leader without one, at every node that is left: F24', async () => {
    const group = await readyGroup();
    const leader = await group.leader();
    for (const name of names) if (name !== leader.member.name) await group.stop(name);
    await becomes(group, 'no-leader', leader.member.name);
    await group.until(() => !leader.node.leadership.isLeader);
    const { state, problem } = group.readinessOf(leader.member.name);
    expect(state).toBe('no-leader');
    expect(problem).toMatch(
      /^no leader; n\d unreachable for \d+ s; n\d unreachable for \d+ s; 1 of 3 voters reachable from here, need 2; start them/,
    );
    expect(await problemAt(group, leader.started)).toBe(problem);
    for (const name of names) if (name !== leader.member.name) await group.start(name);
    await becomes(group, 'ready', ...names);
  });

  it('is no-leader at a node that is cut off, while the others are ready', async () => {
    const group = await readyGroup();
    const leader = await group.leader();
    cutOff(group, leader.member.id);
    await becomes(group, 'no-leader', leader.member.name);
    await becomes(group, 'ready', ...names.filter((name) => name !== leader.member.name));
    group.network.heal();
    await becomes(group, 'ready', ...names);
  });

  it('is catching-up from its admission until it votes', async () => {
    const group = await readyGroup();
    for (const id of [1, 2, 3]) group.network.cut(id, 4);
    const { started } = await group.start('n4');
    await group.until(() => false, 5_000).catch(() => undefined);
    expect(group.readinessOf('n4')).toEqual({ state: 'catching-up', problem: expect.stringMatching(/member/) });
    expect(await problemAt(group, started)).toBe(group.readinessOf('n4').problem);
    group.network.heal();
    await becomes(group, 'ready', 'n4');
  });

  it('is ready after a restart only once it has what was committed meanwhile', async () => {
    const group = await readyGroup();
    const { name } = group.follower().member;
    await group.stop(name);
    const leader = await group.leader();
    for (let i = 0; i < 5; i++) await group.settled(leader.node.propose(records(`missed ${i}`)));
    await group.start(name);
    await becomes(group, 'ready', name);
    expect(group.get(name).node.highWatermark).toBe(6);
  });

  it('is unvouched until its peers have vouched for it, and says since when it waits', async () => {
    const group = await readyGroup();
    for (const name of names) await group.stop(name);
    const { started } = await group.begin('n1');
    await group.until(() => group.readinessOf('n1').problem?.includes('for 20 s') === true);
    expect(group.readinessOf('n1')).toEqual({
      state: 'unvouched',
      problem: expect.stringContaining('no answer from n2, n3 for 20 s; start them, or see golog recover'),
    });
    expect(await problemAt(group, started)).toMatch(/no answer from n2, n3 for \d+ s/);
  });

  it('is amnesiac, after its disk was put back, until a leader admits it', async () => {
    const group = await readyGroup();
    const { name } = group.follower().member;
    const copy = await group.copyDisk(name);
    const leader = await group.leader();
    for (let i = 0; i < 3; i++) await group.settled(leader.node.propose(records(`b${i}`)));
    await group.until(() => false, 5_000).catch(() => undefined);
    await group.stop(name);
    await group.putBack(name, copy);
    await group.stop(leader.member.name);
    const back = await group.begin(name);
    await becomes(group, 'amnesiac', name);
    expect(group.readinessOf(name).problem).toMatch(/came back with less .* see golog recover$/);
    expect(await problemAt(group, back.started)).toBe(group.readinessOf(name).problem);
    expect(back.lines.map(({ event }) => event)).toContain('acknowledged_entries_lost');
    await group.start(leader.member.name);
    await becomes(group, 'ready', name);
  });

  it('is running-elsewhere while another process is the member', async () => {
    const group = await readyGroup();
    const { name } = group.follower().member;
    const disk = await group.copyDisk(name);
    const twin = await group.begin(name, { disk, claims: { rpcAddr: 'twin:8400' } });
    await becomes(group, 'running-elsewhere', name);
    expect(await problemAt(group, twin.started)).toMatch(
      new RegExp(`^another process runs as this member at ${memberOf(name, 0).rpcAddr}: .* stop one of the two`),
    );
    expect(twin.lines.map(({ event }) => event)).toContain('member_running_elsewhere');
  });

  it('is misnamed on the directory of a member with another name', async () => {
    const group = await readyGroup();
    const { name } = group.follower().member;
    await group.stop(name);
    const back = await group.begin(name, { claims: { name: 'n9' }, joinTransport: unanswered });
    await becomes(group, 'misnamed', name);
    expect(await problemAt(group, back.started)).toContain(`--node-name ${name}`);
    expect(back.lines.map(({ event }) => event)).toContain('data_directory_of_other_member');
  });

  it('is removed, once an operator has removed it', async () => {
    const group = await readyGroup();
    const left = group.follower();
    const { name, id } = left.member;
    const { cluster } = await group.leader();
    cutOff(group, id);
    await group.settled(cluster.removeMember(name, forever, 'on request'));
    group.network.heal();
    await becomes(group, 'removed', name);
    expect(await problemAt(group, left.started)).toMatch(/removed from the cluster on request: restart it/);
    expect(left.lines.map(({ event }) => event)).toContain('removed_from_cluster');
  });

  it('is rejoining, after it was removed as dead, until it is a member again', async () => {
    const group = await readyGroup();
    const left = group.follower();
    const { name, id } = left.member;
    const { cluster } = await group.leader();
    cutOff(group, id);
    await group.settled(cluster.removeMember(name, forever, 'as dead'));
    group.network.heal();
    await group.until(() => group.readinessLog.some(({ state }) => state === 'rejoining'));
    expect(group.readinessLog.find(({ state }) => state === 'rejoining')).toEqual({
      name,
      state: 'rejoining',
      problem: expect.stringMatching(/silent for too long: it is joining again/),
    });
    await becomes(group, 'ready', name);
  });

  it('is repairing until the others have sent what is damaged in its log', async () => {
    const group = await readyGroup();
    const { name } = group.follower().member;
    await group.stop(name);
    await damage(group, name);
    const { lines } = await group.start(name);
    const repairing = group.readinessLog.find((each) => each.name === name && each.state === 'repairing');
    expect(repairing?.problem).toContain(`the log of ${name} is damaged`);
    expect(lines.map(({ event }) => event)).toContain('log_repair_started');
    await becomes(group, 'ready', name);
  });

  it('is damaged where there is nobody to repair its log from', async () => {
    const group = new Group();
    const { node } = await group.start('n1');
    await group.settled(node.propose(records('a')));
    await group.stop('n1');
    await damage(group, 'n1');
    const { started, lines } = await group.begin('n1');
    expect(group.readinessOf('n1')).toEqual({ state: 'damaged', problem: expect.stringContaining('run golog verify') });
    expect(await problemAt(group, started)).toBe(group.readinessOf('n1').problem);
    expect(lines.map(({ event }) => event)).toContain('log_segment_quarantined');
  });

  it('is rejoining at its start, if it was removed and no leader answers', async () => {
    const group = await readyGroup();
    const left = group.follower();
    const { name } = left.member;
    const { cluster } = await group.leader();
    await group.settled(cluster.removeMember(name, forever));
    await group.until(() => left.node.leadership.configuration.members.length === 2);
    await group.stop(name);
    await group.begin(name, { joinTransport: { ...unanswered, vouch: noteless(group).vouch } });
    await becomes(group, 'rejoining', name);
    expect(group.readinessOf(name).problem).toMatch(/it joins again once a leader admits it/);
  });
});
