import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import type { MemoryDirectory } from '../../src/adapters/memory/memory-directory.js';
import { ConfigurationFile } from '../../src/application/configuration/configuration-file.js';
import { CorruptRangeError } from '../../src/domain/log/errors.js';
import { HardStateFile } from '../../src/domain/log/hard-state-file.js';
import { toIndex } from '../../src/domain/log/offsets.js';
import { Group, type GroupMember, records, valuesOf } from './group.js';
import {
  caughtUp,
  forever,
  names,
  newDisk,
  replicaOf,
  type RunningReplica,
  startReplica,
  valuesAt,
} from './replica-fixture.js';

const segmentBytesMax = 512 << 10;
const options = { segmentBytesMax };

/** A log of three terms, each of which takes several chunks to send. */
async function threeTerms(settings: ConstructorParameters<typeof Group>[0] = {}): Promise<{
  group: Group;
  leader: GroupMember;
}> {
  const group = await Group.of(names, settings);
  let leader = await group.leader();
  for (let term = 0; term < 3; term++) {
    if (term > 0) await group.settled(leader.cluster.transferLeadership(undefined, forever));
    leader = await group.leader();
    for (let i = 0; i < 8; i++)
      await group.settled(leader.node.propose(records(`${term}-${i} ${'x'.repeat(300_000)}`)));
  }
  return { group, leader };
}

async function flipBit(log: MemoryDirectory, store: string, position: number): Promise<void> {
  const file = await log.open(store);
  const [byte] = await file.read(position, 1);
  await file.write(position, [Uint8Array.of(byte ^ 1)]);
}

async function storesOf(log: MemoryDirectory): Promise<string[]> {
  return (await log.list()).filter((name) => name.endsWith('.store')).sort();
}

/** Reads the whole log, and notes damage as the watch of a running node does. */
async function noteDamage(group: Group, disk: ReturnType<typeof newDisk>): Promise<void> {
  const running = await startReplica(group, { disk, sources: [], ...options });
  const { log } = running;
  for (let index = log.startIndex; index <= log.lastIndex; index = toIndex(index + 1)) {
    const read = log.readEntries(index, { until: toIndex(index + 1), bytesMax: 1 });
    await read.catch((error: unknown) => expect(error).toBeInstanceOf(CorruptRangeError));
  }
  const from = log.quarantined.map(({ fromIndex }) => fromIndex);
  expect(from.length).toBeGreaterThan(0);
  await running.stop();
  await (await ConfigurationFile.open(disk.raft, crc32c)).noteDamage({ damagedFrom: Math.min(...from) });
}

async function termOf(disk: ReturnType<typeof newDisk>): Promise<number | undefined> {
  return (await HardStateFile.read(disk.raft, crc32c))?.term;
}

async function expectMended(group: Group, leader: GroupMember, running: RunningReplica): Promise<void> {
  await group.until(() => running.fatal.length > 0 || caughtUp(running, leader)());
  const values = await valuesOf(leader);
  for (let found: readonly string[] = []; found.length < values.length;) {
    await group.until(() => running.fatal.length > 0 || running.log.quarantined.length === 0);
    expect(running.fatal).toEqual([]);
    // Reading may find more damage in sealed segments, which is then repaired as well.
    found = await valuesAt(running).catch((error: unknown) => {
      if (error instanceof CorruptRangeError) return [];
      throw error;
    });
    if (found.length > 0) expect(found).toEqual(values);
  }
}

describe('a replica whose log went through three terms, with damage', () => {
  /** Positions as fractions of the list of stores, and of the store. */
  const cases: readonly (readonly [string, readonly (readonly [number, number])[]])[] = [
    ['in the header of the first segment', [[0, 0]]],
    ['at the first entry', [[0, 0.001]]],
    ['two terms back', [[0.2, 0.5]]],
    ['one term back', [[0.5, 0.5]]],
    ['in the last term', [[0.9, 0.5]]],
    ['in the last segment', [[1, 0.3]]],
    ['at the very end', [[1, 0.999]]],
    [
      'at three positions at once',
      [
        [0.1, 0.5],
        [0.5, 0.2],
        [1, 0.9],
      ],
    ],
  ];

  it.each(cases)('%s, gets everything back', async (_, damage) => {
    const { group, leader } = await threeTerms();
    const disk = newDisk();
    await (await replicaOf(group, leader, { disk, ...options })).stop();
    const [stores, term] = [await storesOf(disk.log), await termOf(disk)];
    for (const [store, share] of damage) {
      const name = stores[Math.floor(store * (stores.length - 1))];
      await flipBit(disk.log, name, Math.floor(share * (await (await disk.log.open(name)).size())));
    }
    await noteDamage(group, disk);
    const running = await startReplica(group, { disk, sources: names, ...options });
    await expectMended(group, leader, running);
    await running.stop();
    expect(await termOf(disk)).toBe(term);
    const again = await startReplica(group, { disk, sources: names, ...options });
    await expectMended(group, leader, again);
  });

  it('continues at the next start if it is stopped while it fetches entries', async () => {
    const { group, leader } = await threeTerms();
    const disk = newDisk();
    await (await replicaOf(group, leader, { disk, ...options })).stop();
    const [first] = await storesOf(disk.log);
    await flipBit(disk.log, first, 1000);
    await noteDamage(group, disk);
    for (let stops = 0; stops < 3; stops++) {
      const running = await startReplica(group, { disk, sources: names, ...options });
      const { applied } = running.replica;
      await group.until(
        () => running.fatal.length > 0 || running.replica.applied > applied || caughtUp(running, leader)(),
      );
      expect(running.fatal).toEqual([]);
      await running.stop();
    }
    await expectMended(group, leader, await startReplica(group, { disk, sources: names, ...options }));
  });

  it('starts again at the log start of the source if the source no longer stores the damaged part', async () => {
    const { group, leader } = await threeTerms({ segmentBytesMax, retention: { bytesMax: 2 << 20 } });
    await group.until(() => [...group.running.values()].every(({ log }) => log.startOffset > 0));
    const disk = newDisk();
    await (await replicaOf(group, leader, { disk, ...options })).stop();
    await group.settled(leader.cluster.transferLeadership(undefined, forever));
    const next = await group.leader();
    await group.settled(next.node.propose(records('in a fourth term')));
    await (await replicaOf(group, next, { disk, ...options })).stop();
    for (const store of await storesOf(disk.log)) await flipBit(disk.log, store, 40);
    await noteDamage(group, disk);
    await expectMended(group, next, await startReplica(group, { disk, sources: names, ...options }));
  });
});
