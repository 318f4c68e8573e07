import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { FaultyDirectory } from '../../src/adapters/memory/faulty-directory.js';
import { CrashedError } from '../../src/adapters/memory/faulty-disk.js';
import type { MemoryDirectory } from '../../src/adapters/memory/memory-directory.js';
import { seededRandom } from '../../src/adapters/memory/seeded-random.js';
import { ConfigurationFile } from '../../src/application/configuration/configuration-file.js';
import type { Directory } from '../../src/domain/log/directory.js';
import { CorruptRangeError } from '../../src/domain/log/errors.js';
import { toOffset } from '../../src/domain/log/offsets.js';
import { Group, type GroupMember, records, valuesOf } from './group.js';
import {
  caughtUp,
  forever,
  groupWith,
  type MemoryUplink,
  names,
  newDisk,
  produce,
  replicaOf,
  type RunningReplica,
  startReplica,
  valuesAt,
} from './replica-fixture.js';

describe('a replica whose machine loses power', () => {
  const seed = Number(process.env['REPLICA_SEED'] ?? 20_261_123);

  it(`has everything that it showed before, each time (REPLICA_SEED=${seed})`, async () => {
    const random = seededRandom(seed);
    const { group, leader } = await groupWith(5);
    let disk = FaultyDirectory.create({}, random);
    const open = async (): Promise<RunningReplica> =>
      startReplica(group, {
        disk: { raft: await disk.subdirectory('raft'), log: await disk.subdirectory('log') },
        sources: names,
        segmentBytesMax: 1024,
      });
    let shown = 0;
    let crashes = 0;
    for (let round = 0; round < 40; round++) {
      const plan = { crashAtOperation: 1 + Math.floor(random() * 60) };
      disk = disk.afterCrash({ keep: 'random', seed: seed + round, plan });
      try {
        const running = await open();
        expect(running.replica.highWatermark).toBeGreaterThanOrEqual(shown);
        await produce(group, leader, 3, 5 + round * 3);
        await group.until(() => running.fatal.length > 0 || caughtUp(running, leader)());
        shown = running.replica.highWatermark;
        crashes += running.fatal.length;
      } catch (error) {
        if (!(error instanceof CrashedError)) throw error;
      }
    }
    expect(crashes).toBeGreaterThan(0);
    disk = disk.afterCrash({ keep: 'random', seed });
    const running = await open();
    expect(running.replica.highWatermark).toBeGreaterThanOrEqual(shown);
    await group.until(caughtUp(running, leader));
    expect(await valuesAt(running)).toEqual(await valuesOf(leader));
  });
});

describe('a replica that its source cannot continue', () => {
  it('starts again at the log start of the source, and logs it', async () => {
    const options = { segmentBytesMax: 4096, retention: { bytesMax: 8192 } };
    const { group, leader } = await groupWith(3, options);
    const disk = newDisk();
    await (await replicaOf(group, leader, { disk })).stop();
    await produce(group, leader, 200, 3);
    await group.until(() => [...group.running.values()].every(({ log }) => log.startOffset > 3));
    const running = await replicaOf(group, leader, { disk });
    expect(running.log.startOffset).toBeGreaterThan(3);
    expect(running.logger.fieldsOf('log_reset')).toHaveLength(1);
    await expect(running.service.read({ offset: toOffset(0) }, { signal: forever })).rejects.toThrow(/out of range/);
    const [values, of] = [await valuesAt(running), await valuesOf(leader)];
    expect(values.slice(-20)).toEqual(of.slice(-20));
  });

  it('refuses the log of another cluster', async () => {
    const { group, leader } = await groupWith(3);
    const prepare = (uplink: MemoryUplink): void => {
      uplink.disguise = (status) => ({ ...status, clusterId: new Uint8Array(16).fill(8) });
    };
    const running = await startReplica(group, { sources: names, prepare });
    await group.until(() => running.logger.events('error').includes('replica_source_of_other_cluster'));
    expect(running.log.lastIndex).toBe(0);
    running.uplink.disguise = (status) => status;
    await group.until(caughtUp(running, leader));
  });

  it('accepts nothing out of order, and asks another source', async () => {
    const { group, leader } = await groupWith(5);
    const prepare = (uplink: MemoryUplink): void => {
      uplink.garble = (batches) => batches.slice(1);
    };
    const running = await startReplica(group, { sources: names, prepare });
    await group.until(() => running.logger.lines.some(({ fields }) => /out of order/.test(JSON.stringify(fields))));
    running.uplink.garble = (batches) => batches;
    await group.until(caughtUp(running, leader));
    expect(running.fatal).toEqual([]);
    expect(await valuesAt(running)).toEqual(await valuesOf(leader));
  });

  it('refuses a log that differs in an entry that both have', async () => {
    const { group, leader } = await groupWith(3);
    const disk = newDisk();
    await (await replicaOf(group, leader, { disk })).stop();
    const other = await Group.of(names);
    const leading = await other.leader();
    await other.settled(leading.cluster.transferLeadership(undefined, forever));
    const next = await other.leader();
    await produce(other, next, 9);
    const running = await startReplica(other, { disk, sources: names });
    await other.until(() =>
      running.logger.lines.some(({ fields }) => /at the source, but term/.test(JSON.stringify(fields))),
    );
    expect(running.log.endOffset).toBe(3);
  });
});

describe('a replica with damage in a sealed segment, found by a reader', () => {
  const options = { segmentBytesMax: 4096 };

  async function damaged(group: Group, leader: GroupMember): Promise<ReturnType<typeof newDisk>> {
    const disk = newDisk();
    await (await replicaOf(group, leader, { disk, ...options })).stop();
    const [name] = (await disk.log.list()).filter((each) => each.endsWith('.store'));
    const file = await disk.log.open(name);
    const [byte] = await file.read(2_000, 1);
    await file.write(2_000, [Uint8Array.of(byte ^ 1)]);
    const running = await startReplica(group, { disk, sources: [], ...options });
    await expect(valuesAt(running)).rejects.toBeInstanceOf(CorruptRangeError);
    const [{ fromIndex: damagedFrom }] = running.log.quarantined;
    await running.stop();
    await (await ConfigurationFile.open(disk.raft, crc32c)).noteDamage({ damagedFrom });
    return disk;
  }

  it('has it repaired after its next start', async () => {
    const { group, leader } = await groupWith(200, options);
    const disk = await damaged(group, leader);
    const running = await startReplica(group, { disk, sources: names, ...options });
    expect(running.log.quarantined).not.toEqual([]);
    await group.until(() => running.log.quarantined.length === 0);
    expect(caughtUp(running, leader)()).toBe(true);
    expect(await valuesAt(running)).toEqual(await valuesOf(leader));
    // The watch looks each second.
    await group.until(() => false, 2_000).catch(() => undefined);
    expect((await ConfigurationFile.open(disk.raft, crc32c)).stored).toMatchObject({ replica: true });
    expect((await ConfigurationFile.open(disk.raft, crc32c)).stored?.damagedFrom).toBeUndefined();
  });

  it('keeps the rest if its source no longer stores the damaged part', async () => {
    const retention = { bytesMax: 8192 };
    const { group, leader } = await groupWith(200, { ...options, retention });
    const disk = await damaged(group, leader);
    await group.until(() => [...group.running.values()].every(({ log }) => log.startOffset > 100));
    const running = await startReplica(group, { disk, sources: names, ...options });
    await group.until(caughtUp(running, leader));
    expect(running.log.startOffset).toBe(0);
    const { batches } = await running.service.read({ offset: toOffset(150) }, { signal: forever });
    expect(batches.length).toBeGreaterThan(0);
  });
});

describe('the cost of a replica', () => {
  it('is bounded at the source: a slow replica is sent no more than it consumes', async () => {
    const { group, leader } = await groupWith(0);
    const big = 'x'.repeat(300_000);
    for (let i = 0; i < 100; i++) await group.settled(leader.node.propose(records(big)));
    const disk = newDisk();
    const stalled = stall(disk.log);
    const running = await startReplica(group, { disk: { raft: disk.raft, log: stalled.directory }, sources: names });
    stalled.hold();
    await group.until(() => running.uplink.givenBytes > 16 << 20);
    for (let i = 0; i < 50; i++) await group.settled(Promise.resolve());
    expect(running.uplink.givenBytes).toBeLessThan(20 << 20);
    stalled.release();
    await group.until(caughtUp(running, leader));
  });

  it('is bounded by what retention keeps, as configured here', async () => {
    const { group, leader } = await groupWith(300);
    const running = await replicaOf(group, leader, { segmentBytesMax: 4096, retention: { bytesMax: 8192 } });
    await group.until(() => running.log.startOffset > 0);
    expect(leader.log.startOffset).toBe(0);
    expect(running.log.bytes).toBeLessThan(16_384);
    expect((await valuesAt(running)).at(-1)).toBe('value 299');
  });

  it('excludes the disk reserve: it accepts entries again when there is space', async () => {
    const { group, leader } = await groupWith(5);
    const disk = newDisk();
    let freeBytes = 10;
    disk.log.freeBytes = () => Promise.resolve(freeBytes);
    const running = await startReplica(group, { disk, sources: names, reserveBytes: 100 });
    await group.until(() => running.logger.events('warn').includes('no_replica_source'));
    expect(running.replica.highWatermark).toBe(0);
    freeBytes = 1e9;
    await group.until(caughtUp(running, leader));
  });
});

/** The directory, whose file syncs wait while it is held. */
function stall(inner: MemoryDirectory): { directory: Directory; hold(): void; release(): void } {
  let held: Promise<void> = Promise.resolve();
  let release = (): void => undefined;
  const slow = (file: Awaited<ReturnType<Directory['open']>>): typeof file =>
    Object.assign(Object.create(file) as typeof file, {
      size: () => file.size(),
      read: (position: number, length: number) => file.read(position, length),
      write: (position: number, chunks: readonly Uint8Array[]) => file.write(position, chunks),
      truncate: (length: number) => file.truncate(length),
      close: () => file.close(),
      sync: async () => {
        await held;
        await file.sync();
      },
    });
  const directory: Directory = {
    list: () => inner.list(),
    subdirectory: (name) => inner.subdirectory(name),
    create: async (name) => slow(await inner.create(name)),
    open: async (name) => slow(await inner.open(name)),
    rename: (from, to) => inner.rename(from, to),
    remove: (name) => inner.remove(name),
    sync: () => inner.sync(),
    freeBytes: () => inner.freeBytes(),
  };
  const hold = (): void => {
    held = new Promise((resolve) => (release = resolve));
  };
  return { directory, hold, release: () => release() };
}
