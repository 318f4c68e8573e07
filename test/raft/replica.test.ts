import { describe, expect, it } from '@jest/globals';
import type { MemoryDirectory } from '../../src/adapters/memory/memory-directory.js';
import { OutcomeUnknownError, UnavailableError } from '../../src/application/errors.js';
import { toOffset } from '../../src/domain/log/offsets.js';
import { records, valuesOf } from './group.js';
import {
  caughtUp,
  forever,
  groupWith,
  names,
  newDisk,
  produce,
  replicaOf,
  startReplica,
  storesOf,
  valuesAt,
} from './replica-fixture.js';

describe('a replica', () => {
  it('has the stores of a member, byte for byte, and follows as the log grows', async () => {
    const options = { segmentBytesMax: 4096 };
    const { group, leader } = await groupWith(100, options);
    const disk = newDisk();
    const running = await replicaOf(group, leader, { disk, ...options });
    await produce(group, leader, 50, 100);
    await group.until(caughtUp(running, leader));
    expect(await valuesAt(running)).toEqual(await valuesOf(leader));
    const stores = await storesOf(disk.log);
    expect(stores.size).toBeGreaterThan(2);
    expect(stores).toEqual(await storesOf(group.disk(leader.member.name).log));
    expect(running.replica.lag).toMatchObject({ records: 0 });
    expect(running.fatal).toEqual([]);
  });

  it('wakes its followers', async () => {
    const { group, leader } = await groupWith(1);
    const running = await replicaOf(group, leader);
    const following = running.service.follow('latest', { signal: forever });
    const next = following.next();
    await produce(group, leader, 1, 1);
    const { value } = await group.settled(next);
    expect(value.batches[0].baseOffset).toBe(1);
  });

  it('asks the leader last', async () => {
    const { group, leader } = await groupWith(1);
    const firsts = new Set<string>();
    for (let seed = 1; seed <= 12; seed++) {
      const running = await replicaOf(group, leader, { seed });
      const { uplink, replica } = running;
      const first = replica.source?.name ?? '';
      firsts.add(first);
      uplink.cutOff.add(first);
      await group.until(() => replica.source !== undefined && replica.source.name !== first);
      if (first !== leader.member.name) expect(replica.source?.name).not.toBe(leader.member.name);
      await running.stop();
    }
    expect(firsts.size).toBeGreaterThan(1);
  });

  it('gets signs of life from its source while nothing happens, and stays with it', async () => {
    const { group, leader } = await groupWith(1);
    const { replica, uplink } = await replicaOf(group, leader);
    const since = group.clock.now();
    await group.until(() => group.clock.now() - since > 20_000);
    expect(replica.lag).toMatchObject({ records: 0 });
    expect(replica.lag.heardMsAgo).toBeLessThan(1_500);
    expect(uplink.followed).toHaveLength(1);
  });

  it('is not a member, and counts for no quorum', async () => {
    const { group, leader } = await groupWith(3);
    const running = await replicaOf(group, leader);
    const follower = [...group.running.keys()].filter((name) => name !== leader.member.name);
    for (const name of follower) await group.stop(name);
    const appending = leader.node.propose(records('never'));
    appending.catch(() => undefined);
    await expect(group.until(() => leader.node.highWatermark > 3, 3_000)).rejects.toThrow(/not within/);
    expect(leader.node.leadership.configuration.members.map(({ name }) => name)).toEqual(names);
    expect(running.replica.highWatermark).toBe(3);
    expect(running.log.endOffset).toBe(3);
  });
});

describe('a call to a replica that needs the leader', () => {
  it('is forwarded: appends', async () => {
    const { group, leader } = await groupWith(2);
    const running = await replicaOf(group, leader);
    const receipt = await group.settled(running.service.append(records('a', 'b')));
    expect(receipt).toMatchObject({ baseOffset: 2, recordCount: 2 });
    await group.until(() => running.replica.highWatermark === 4);
    const stale = running.service.append(records('c'), { expectedOffset: toOffset(3) });
    await expect(group.settled(stale)).rejects.toThrow(/expected/);
  });

  it('is refused if there is no leader, and has an unknown outcome if the link breaks', async () => {
    const { group, leader } = await groupWith(2);
    const running = await replicaOf(group, leader);
    const appending = running.service.append(records('a'));
    running.uplink.cutOff.add(leader.member.name);
    await expect(group.settled(appending)).rejects.toBeInstanceOf(OutcomeUnknownError);
    await expect(running.service.append(records('a'))).rejects.toBeInstanceOf(UnavailableError);
    const alone = await startReplica(group, { sources: [] });
    await expect(alone.service.append(records('a'))).rejects.toThrow('the cluster has no leader');
  });

  it('waits for everything acknowledged on any node: linearizable reads', async () => {
    const { group, leader } = await groupWith(2);
    const running = await replicaOf(group, leader);
    await produce(group, leader, 5, 2);
    const read = running.service.read({ offset: toOffset(6) }, { signal: forever, linearizable: true });
    expect((await group.settled(read)).batches).toHaveLength(1);
  });

  it('is forwarded: administration; without a leader, it answers with its own view', async () => {
    const { group, leader } = await groupWith(2);
    const running = await replicaOf(group, leader);
    const status = await running.cluster.status({ signal: forever });
    expect(status).toMatchObject({ answeredBy: leader.member.name, leader: leader.member.name });
    const transferee = names.find((name) => name !== leader.member.name);
    expect(await group.settled(running.cluster.transferLeadership(transferee, forever))).toBe(transferee);
    await group.until(() => running.replica.leader?.name === transferee);
    expect(running.replica.servers().filter(({ isLeader }) => isLeader)).toMatchObject([{ id: transferee }]);
    for (const name of names) running.uplink.cutOff.add(name);
    const own = await running.cluster.status({ signal: forever });
    expect(own).toMatchObject({ answeredBy: 'r1', highWatermark: 2 });
    expect(own.problem).toBeUndefined();
    expect(await running.cluster.admit()).toMatchObject({ kind: 'retry', leaderAddr: `${transferee}:8400` });
  });
});

describe('a replica that loses its source', () => {
  it('is ready while it follows a member, and says since when it follows none', async () => {
    const { group, leader } = await groupWith(5);
    const running = await replicaOf(group, leader);
    await group.until(() => running.cluster.readiness.state === 'ready');
    expect(running.cluster.readiness.problem).toBeUndefined();
    for (const name of names) running.uplink.cutOff.add(name);
    await group.until(() => running.cluster.readiness.problem?.includes('for 12 s') === true);
    expect(running.cluster.readiness).toEqual({
      state: 'no-source',
      problem: 'r1 is a replica and has followed no member for 12 s: start a member that it can reach',
    });
    expect((await running.cluster.status({ signal: forever, local: true })).problem).toMatch(/followed no member/);
    expect(running.logger.lines.map(({ event }) => event)).toContain('no_replica_source');
    running.uplink.cutOff.clear();
    await group.until(() => running.cluster.readiness.state === 'ready');
  });

  it('follows another one at once', async () => {
    const { group, leader } = await groupWith(5);
    const running = await replicaOf(group, leader);
    const first = running.replica.source?.name ?? '';
    running.uplink.cutOff.add(first);
    await produce(group, leader, 5, 5);
    await group.until(caughtUp(running, leader), 2_000);
    expect(running.replica.source?.name).not.toBe(first);
    expect(await valuesAt(running)).toEqual(await valuesOf(leader));
  });

  it('follows another one if the source is only silent', async () => {
    const { group, leader } = await groupWith(5);
    const running = await replicaOf(group, leader);
    const first = running.replica.source?.name ?? '';
    running.uplink.hanging.add(first);
    await produce(group, leader, 5, 5);
    await group.until(caughtUp(running, leader), 7_000);
    expect(running.replica.source?.name).not.toBe(first);
  });

  it('leaves a source that is cut off from the leader', async () => {
    const { group, leader } = await groupWith(5);
    const lonely = group.follower();
    const running = await replicaOf(group, leader, { sources: [lonely.member.name] });
    await running.stop();
    for (const { member } of group.running.values())
      if (member.id !== lonely.member.id) group.network.cut(member.id, lonely.member.id);
    const others = names.filter((name) => name !== lonely.member.name);
    const again = await startReplica(group, { sources: [lonely.member.name, ...others] });
    for (const name of others) again.uplink.cutOff.add(name);
    await group.until(() => again.replica.source?.name === lonely.member.name);
    again.uplink.cutOff.clear();
    await produce(group, leader, 5, 5);
    await group.until(caughtUp(again, leader), 20_000);
    expect(again.replica.source?.name).not.toBe(lonely.member.name);
  });

  it('reports that it lags, waits longer each time, and follows again when a member returns', async () => {
    const { group, leader } = await groupWith(5);
    const running = await replicaOf(group, leader);
    for (const name of names) running.uplink.cutOff.add(name);
    await produce(group, leader, 1, 5);
    await group.until(() => (running.replica.lag.heardMsAgo ?? 0) > 30_000);
    expect(running.replica.source).toBeUndefined();
    // By then a round starts every few seconds.
    const asked = running.logger.fieldsOf('replica_source_lost').length;
    expect(asked).toBeLessThan(80);
    expect(running.logger.fieldsOf('no_replica_source')).toHaveLength(1);
    expect(await valuesAt(running)).toHaveLength(5);
    running.uplink.cutOff.clear();
    await group.until(caughtUp(running, leader), 6_000);
  });
});

describe('a replica whose source was removed from the cluster and still runs', () => {
  it('follows another member', async () => {
    const { group, leader } = await groupWith(10);
    const removed = group.follower().member.name;
    const running = await replicaOf(group, leader, { sources: [removed] });
    running.uplink.cutOff.clear();
    await group.settled(leader.cluster.removeMember(removed, forever));
    await produce(group, leader, 10, 10);
    await group.until(caughtUp(running, leader));
    expect(running.replica.source?.name).not.toBe(removed);
  });
});

describe('a replica that starts again', () => {
  it('shows everything that it showed before, without any member, and continues from there', async () => {
    const { group, leader } = await groupWith(20);
    const disk = newDisk();
    const first = await replicaOf(group, leader, { disk });
    await first.stop();
    await produce(group, leader, 5, 20);
    const alone = await startReplica(group, { disk, sources: [] });
    expect(alone.replica.highWatermark).toBe(20);
    expect((await alone.service.info(forever)).highWatermark).toBe(20);
    expect(alone.replica.servers().map(({ id }) => id)).toEqual(names);
    await alone.stop();
    // From the contacts that it has stored.
    const again = await startReplica(group, { disk });
    await group.until(caughtUp(again, leader));
    expect(await valuesAt(again)).toEqual(await valuesOf(leader));
    expect(await storesOf(disk.log)).toEqual(await storesOf(group.disk(leader.member.name).log));
  });

  it('fetches a damaged part again, and shows no less in the meantime', async () => {
    const { group, leader } = await groupWith(20);
    const disk = newDisk();
    await (await replicaOf(group, leader, { disk })).stop();
    await flipMiddle(disk.log);
    const running = await startReplica(group, { disk, sources: names });
    const before = running.replica.highWatermark;
    expect(before).toBeLessThan(20);
    const info = running.service.info(forever);
    expect((await group.settled(info)).highWatermark).toBe(20);
    await group.until(caughtUp(running, leader));
    expect(await valuesAt(running)).toEqual(await valuesOf(leader));
    expect(await storesOf(disk.log)).toEqual(await storesOf(group.disk(leader.member.name).log));
  });

  it('tells callers that ask for the end that it is damaged, while it has no source', async () => {
    const { group, leader } = await groupWith(20);
    const disk = newDisk();
    await (await replicaOf(group, leader, { disk })).stop();
    await flipMiddle(disk.log);
    const running = await startReplica(group, { disk, sources: [] });
    await expect(group.settled(running.service.info(forever))).rejects.toBeInstanceOf(UnavailableError);
    const read = running.service.read({ offset: toOffset(0) }, { signal: forever });
    const { batches } = await group.settled(read);
    expect(batches.length).toBeGreaterThan(0);
  });
});

async function flipMiddle(directory: MemoryDirectory): Promise<void> {
  const [name] = (await directory.list()).filter((each) => each.endsWith('.store'));
  const file = await directory.open(name);
  const at = (await file.size()) >> 1;
  const [byte] = await file.read(at, 1);
  await file.write(at, [Uint8Array.of(byte ^ 1)]);
}
