import { describe, expect, it } from '@jest/globals';
import type { MemoryDirectory } from '../../src/adapters/memory/memory-directory.js';
import { CorruptRangeError } from '../../src/domain/log/errors.js';
import { toOffset } from '../../src/domain/log/offsets.js';
import { Group, type GroupMember, records, valuesOf } from './group.js';
import { forever, names, newDisk, produce, replicaOf, storesOf, valuesAt } from './replica-fixture.js';

const segmentBytesMax = 2_000;
/** Reads all segments through within seconds. */
const scrubBytesPerSecond = 64 << 10;

/** Flips a bit in the store of that number; negative ones count from the end. */
async function flip(log: MemoryDirectory, number: number, share: number): Promise<void> {
  const stores = (await log.list()).filter((name) => name.endsWith('.store'));
  const file = await log.open(stores.at(number)!);
  const at = Math.floor((await file.size()) * share);
  const [byte] = await file.read(at, 1);
  await file.write(at, [Uint8Array.of(byte ^ 4)]);
}

/** A group of three whose members all have the same sealed segments. */
async function filled(
  options: ConstructorParameters<typeof Group>[0] = {},
): Promise<{ group: Group; leader: GroupMember }> {
  const group = await Group.of(names, { segmentBytesMax, ...options });
  const leader = await group.leader();
  await produce(group, leader, 150);
  await group.until(() => names.every((name) => group.get(name).node.highWatermark === 150));
  return { group, leader };
}

const fatalOf = (group: Group): unknown[] => names.flatMap((name) => [...group.get(name).fatal]);
const logged = (member: GroupMember, event: string): boolean => member.lines.some((line) => line.event === event);

describe('rot in sealed segments that nobody reads', () => {
  it('is found and repaired on two of three nodes at once, in the same segments too, without a restart', async () => {
    const { group } = await filled({ scrubBytesPerSecond });
    const before = new Map<string, Map<string, string>>();
    for (const name of names) before.set(name, await storesOf(group.disk(name).log));
    for (const [name, share] of [
      ['n1', 0.3],
      ['n2', 0.7],
    ] as const) {
      const { log } = group.disk(name);
      await flip(log, 0, share);
      await flip(log, 2, 0.5);
      await flip(log, 3, 0.001);
    }
    await group.until(() => ['n1', 'n2'].every((name) => logged(group.get(name), 'log_damage_found')));
    const isMended = async (name: string): Promise<boolean> => {
      const stores = await storesOf(group.disk(name).log);
      return [...before.get(name)!].slice(0, -1).every(([store, bytes]) => stores.get(store) === bytes);
    };
    for (let seconds = 0; seconds < 60; seconds++) {
      if ((await isMended('n1')) && (await isMended('n2'))) break;
      await group.until(() => false, 1_000).catch(() => undefined);
    }
    expect([await isMended('n1'), await isMended('n2')]).toEqual([true, true]);
    await group.until(() => names.every((name) => group.get(name).log.quarantined.length === 0));
    expect(fatalOf(group)).toEqual([]);
    for (const name of names) expect(await valuesOf(group.get(name))).toHaveLength(150);
    await group.until(() => names.every((name) => logged(group.get(name), 'log_scrub_finished')));
  });

  it('shows in the status of its node until it is repaired', async () => {
    const { group, leader } = await filled({ scrubBytesPerSecond });
    const follower = group.follower();
    for (const name of names) if (name !== follower.member.name) await flip(group.disk(name).log, 1, 0.5);
    await flip(group.disk(follower.member.name).log, 1, 0.5);
    // All three have lost it.
    const status = () => follower.cluster.status({ signal: forever, local: true });
    await group.until(() => follower.log.quarantined.length > 0);
    await group.until(() => logged(follower, 'log_repair_blocked'));
    const { scrub, problem } = await status();
    expect(scrub).toMatchObject({
      bytesPerSecond: scrubBytesPerSecond,
      damaged: [{ reason: expect.stringContaining('') }],
    });
    expect(scrub?.totalBytes).toBeGreaterThan(5_000);
    expect(problem).toMatch(/^damaged on n\d and not served by it: records \d+ to \d+.*no peer has sent entry \d+/);
    expect(follower.cluster.readiness.state).toBe('ready');
    await group.settled(leader.node.propose(records('still')));
    expect(fatalOf(group)).toEqual([]);
  });

  it('is repaired on a replica', async () => {
    const { group, leader } = await filled();
    const disk = newDisk();
    const replica = await replicaOf(group, leader, { disk, segmentBytesMax, scrubBytesPerSecond });
    const before = await storesOf(disk.log);
    for (const [number, share] of [
      [0, 0.9],
      [1, 0.2],
      [1, 0.8],
      [3, 0],
    ] as const)
      await flip(disk.log, number, share);
    await group.until(() => replica.logger.lines.some(({ event }) => event === 'damaged_segment_repaired'));
    for (let seconds = 0; seconds < 60; seconds++) {
      await group.until(() => false, 1_000).catch(() => undefined);
      if (JSON.stringify([...(await storesOf(disk.log))]) === JSON.stringify([...before])) break;
    }
    expect(await storesOf(disk.log)).toEqual(before);
    expect(replica.fatal).toEqual([]);
    expect(await valuesAt(replica)).toEqual(await valuesOf(leader));
    await replica.stop();
  });
});

describe('damage in a sealed segment that a reader finds', () => {
  it('is repaired at once, and read after that', async () => {
    const { group } = await filled();
    const follower = group.follower();
    await flip(group.disk(follower.member.name).log, 1, 0.5);
    await expect(group.settled(valuesOf(follower))).rejects.toBeInstanceOf(CorruptRangeError);
    await group.until(() => follower.log.quarantined.length === 0);
    expect(await valuesOf(follower)).toHaveLength(150);
    expect(logged(follower, 'damaged_segment_repaired')).toBe(true);
    expect(fatalOf(group)).toEqual([]);
    await group.until(() => false, 2_000).catch(() => undefined);
    expect((await group.storedConfiguration(follower.member.name))?.damagedFrom).toBeUndefined();
  });

  it('makes a leader transfer leadership', async () => {
    const { group, leader } = await filled();
    await flip(group.disk(leader.member.name).log, 1, 0.5);
    await expect(group.settled(valuesOf(leader))).rejects.toBeInstanceOf(CorruptRangeError);
    await group.until(() => logged(leader, 'log_damaged_leader'));
    await group.until(() => !leader.node.leadership.isLeader);
    expect((await group.leader()).member.name).not.toBe(leader.member.name);
    await group.until(() => leader.log.quarantined.length === 0);
    expect(await valuesOf(leader)).toHaveLength(150);
  });

  it('is known to the next start, and does not keep the node from voting', async () => {
    const { group } = await filled();
    const { member, log } = group.follower();
    await flip(group.disk(member.name).log, 1, 0.5);
    for (const name of names) if (name !== member.name) group.network.cut(group.get(name).member.id, member.id);
    await expect(
      (async () => {
        for (let next = 0; next < 150;) {
          const [batch] = await log.read(toOffset(next), { until: toOffset(150), bytesMax: 1 });
          next = batch.baseOffset + batch.recordCount;
        }
      })(),
    ).rejects.toBeInstanceOf(CorruptRangeError);
    await group.until(() => logged(group.get(member.name), 'stored_entries_damaged'));
    await group.stop(member.name);
    group.network.heal();
    const back = await group.start(member.name);
    expect(back.log.quarantined).not.toEqual([]);
    await group.until(() => back.log.quarantined.length === 0);
    expect(await valuesOf(back)).toHaveLength(150);
    expect(logged(back, 'log_repair_started')).toBe(false);
  });
});
