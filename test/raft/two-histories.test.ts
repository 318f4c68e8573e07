import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { TwoHistoriesError } from '../../src/application/raft/two-histories.js';
import { JoinRefusedError } from '../../src/application/join/join-cluster.js';
import { HardStateFile } from '../../src/domain/log/hard-state-file.js';
import { toIndex } from '../../src/domain/log/offsets.js';
import { Group, type GroupMember, noteless, records, valuesOf } from './group.js';

const names = ['n1', 'n2', 'n3'];

async function produce(group: Group, { node }: GroupMember, value: string): Promise<void> {
  await group.settled(node.propose(records(value)));
}

/**
 * The leader has committed a value with the others, and is down; their disks were rolled back, and nobody has notes of
 * that: one of them leads, and has committed another value at that offset.
 */
async function twoHistories(end: 'stop' | 'crash') {
  const group = await Group.of(names);
  const leader = await group.leader();
  await produce(group, leader, 'both');
  await group.until(() => [...group.running.values()].every(({ node }) => node.highWatermark === 1));
  const [follower, third] = [...group.running.values()].filter((each) => each !== leader);
  const snapshots = [group.snapshotDisk(follower.member.name), group.snapshotDisk(third.member.name)];
  await produce(group, leader, 'one history');
  const { lastIndex } = leader.log;
  await group.until(() => leader.started.hardState.current.commit === lastIndex);
  await group[end](leader.member.name);
  const others = [follower.member.name, third.member.name];
  for (const name of others) await group.stop(name);
  for (const [i, name] of others.entries()) group.rollBack(name, snapshots[i]);
  const joinTransport = noteless(group);
  await Promise.all(others.map((name) => group.start(name, { joinTransport })));
  const next = await group.leader();
  await produce(group, next, 'other history');
  await produce(group, next, 'goes on');
  return { group, old: leader.member, next };
}

describe('a node whose committed entries are others than those of its cluster', () => {
  // A leader that stops gracefully hands over, so that both histories have entries of the next term.
  it.each(['stop', 'crash'] as const)('is refused by the leader, which says so (%s)', async (end) => {
    const { group, old, next } = await twoHistories(end);
    const starting = group.start(old.name);
    await expect(starting).rejects.toThrow(JoinRefusedError);
    await expect(starting).rejects.toThrow(/is committed in term \d+ on this node and in term \d+ in its cluster/);
    const status = await next.cluster.status({ signal: new AbortController().signal });
    expect(status.problem).toMatch(new RegExp(`^${old.name} has another history: entry \\d+ is committed in term`));
    await produce(group, next, 'still');
    expect(await valuesOf(next)).toEqual(['both', 'other history', 'goes on', 'still']);
  });

  it('stops when a message of the leader proves it', async () => {
    const { group, old, next } = await twoHistories('crash');
    const { raft } = group.disk(old.name);
    // It is not asked what it has committed.
    const hardState = await HardStateFile.open(raft, crc32c);
    expect(hardState.current.commit).toBeGreaterThan(toIndex(0));
    await hardState.close();
    const back = await group.start(old.name, { joinTransport: noteless(group) });
    await group.until(() => back.fatal.length > 0);
    expect(back.fatal).toEqual([expect.any(TwoHistoriesError)]);
    await produce(group, next, 'still');
  });
});
