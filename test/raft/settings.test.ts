import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import {
  type ClusterSettings,
  featureLevelKnown,
  UnknownFeatureLevelError,
} from '../../src/application/configuration/cluster-settings.js';
import { firstConfiguration } from '../../src/application/configuration/configuration.js';
import { ConfigurationFile } from '../../src/application/configuration/configuration-file.js';
import { InvalidInputError, OffsetOutOfRangeError } from '../../src/domain/log/errors.js';
import { toEpochMs, toOffset } from '../../src/domain/log/offsets.js';
import { FeatureNotEnabledError } from '../../src/application/ports/cluster.js';
import { emptyDisk, Group, type GroupMember, memberOf, records, uuidOf } from './group.js';

const names = ['n1', 'n2', 'n3'];
const forever = new AbortController().signal;
const settingsOf = ({ node }: GroupMember): ClusterSettings => node.leadership.configuration.settings;
const isSame = (group: Group, wanted: object) => (): boolean =>
  [...group.running.values()].every((each) => JSON.stringify(settingsOf(each)) === JSON.stringify(wanted));

async function appendMany(group: Group, count: number): Promise<void> {
  const { node } = await group.leader();
  for (let n = 0; n < count; n++) await group.settled(node.propose(records('x'.repeat(1_000))));
}

describe('the settings of a cluster', () => {
  it('are changed at any member, and are the same on all, and after a restart', async () => {
    const group = await Group.of(names);
    await group.leader();
    const after = await group.settled(group.follower().cluster.changeSettings({ retentionBytes: 9_000 }, forever));
    expect(after).toMatchObject({ featureLevel: 1, retentionBytes: 9_000 });
    await group.settled(group.follower().cluster.changeSettings({ producersMax: 7 }, forever));
    const wanted = { featureLevel: 1, producersMax: 7, retentionBytes: 9_000 };
    await group.until(isSame(group, wanted));
    for (const name of names) await group.stop(name);
    await Promise.all(names.map((name) => group.start(name)));
    await group.leader();
    expect(isSame(group, wanted)()).toBe(true);
    await group.settled(group.follower().cluster.changeSettings({ retentionBytes: 0 }, forever));
    await group.until(isSame(group, { featureLevel: 1, producersMax: 7 }));
  });

  it('reach a member that joins, from the log or from a snapshot', async () => {
    const group = await Group.of(names, { segmentBytesMax: 4_096 });
    const leader = await group.leader();
    await group.settled(leader.cluster.changeSettings({ producersMax: 7 }, forever));
    await appendMany(group, 30);
    await group.settled(leader.cluster.changeSettings({ retentionBytes: 8_192 }, forever));
    await group.until(() => leader.log.startIndex > 1);
    await group.start('n4');
    await group.until(isSame(group, { featureLevel: 1, producersMax: 7, retentionBytes: 8_192 }));
  });

  it('limit the log of every member; a flag only makes the limit stricter, and is warned of', async () => {
    const retention = (name: string) => ({ n1: { bytesMax: 16_384 }, n2: { bytesMax: 1 << 30 } })[name] ?? {};
    const group = await Group.of(names, { segmentBytesMax: 4_096, retention });
    const leader = await group.leader();
    await group.settled(leader.cluster.changeSettings({ retentionBytes: 32_768 }, forever));
    await appendMany(group, 60);
    const bytesOf = (name: string): number => group.get(name).log.bytes;
    await group.until(() => bytesOf('n1') < 16_384 + 8_192 && bytesOf('n2') < 32_768 + 8_192);
    await group.until(() => bytesOf('n3') < 32_768 + 8_192);
    expect(bytesOf('n3')).toBeGreaterThan(16_384 + 8_192);
    const warned = names.map((name) => group.get(name).lines.some(({ event }) => event === 'retention_differs'));
    expect(warned).toEqual([true, true, false]);
  });

  it('have segments that span a fraction of the age, so that old records are removed', async () => {
    const group = await Group.of(names);
    const leader = await group.leader();
    await group.settled(leader.cluster.changeSettings({ retentionAgeMs: 80_000 }, forever));
    for (let n = 0; n < 12; n++) {
      await appendMany(group, 1);
      const until = group.clock.now() + 15_000;
      await group.until(() => group.clock.now() >= until);
    }
    await group.until(() => [...group.running.values()].every(({ log }) => log.startOffset > 0));
  });
});

describe('truncating the log of the cluster', () => {
  it('moves the start of every member, also of one that is down, and of one that restarts', async () => {
    const group = await Group.of(names, { segmentBytesMax: 4_096 });
    await group.leader();
    await appendMany(group, 40);
    const down = group.follower().member.name;
    await group.stop(down);
    await group.settled((await group.leader()).cluster.changeSettings({ startOffset: 22 }, forever));
    await appendMany(group, 1);
    await group.start(down);
    const starts = (): number[] => [...group.running.values()].map(({ service }) => service.infoNow().logStartOffset);
    await group.until(() => starts().every((start) => start === 22));
    // Whole segments are removed.
    await group.until(() =>
      [...group.running.values()].every(({ log }) => log.startOffset > 15 && log.startOffset <= 22),
    );
    for (const { service } of group.running.values()) {
      const below = group.settled(service.read({ offset: toOffset(21) }, { signal: forever }));
      await expect(below).rejects.toThrow(OffsetOutOfRangeError);
      const { batches, logStartOffset } = await group.settled(service.read('earliest', { signal: forever }));
      expect([batches[0].baseOffset, logStartOffset]).toEqual([22, 22]);
      const since = await group.settled(service.read({ since: toEpochMs(0) }, { signal: forever }));
      expect(since.batches[0].baseOffset).toBe(22);
    }
    await group.stop(down);
    const { service } = await group.start(down);
    expect(service.infoNow().logStartOffset).toBe(22);
  });

  it('never moves the start back, nor past the end', async () => {
    const group = await Group.of(['n1']);
    const { cluster, service } = await group.leader();
    await appendMany(group, 5);
    expect(await group.settled(cluster.changeSettings({ startOffset: 3 }, forever))).toMatchObject({ startOffset: 3 });
    expect(await group.settled(cluster.changeSettings({ startOffset: 1 }, forever))).toMatchObject({ startOffset: 3 });
    await expect(cluster.changeSettings({ startOffset: 6 }, forever)).rejects.toThrow(InvalidInputError);
    expect(await group.settled(cluster.changeSettings({ startOffset: 5 }, forever))).toMatchObject({ startOffset: 5 });
    await appendMany(group, 1);
    const { batches } = await group.settled(service.read('earliest', { signal: forever }));
    expect(batches[0].baseOffset).toBe(5);
  });
});

describe('the feature level', () => {
  it('is raised once every member offers the next one; until then there are no settings', async () => {
    const group = await Group.of(names, { settings: {} });
    group.network.offered.set(2, 0).set(1, 1).set(3, 1);
    if ((await group.leader()).member.id === 2) {
      await group.settled((await group.leader()).cluster.transferLeadership('n1', forever));
    }
    const leader = await group.leader();
    const refused = group.settled(leader.cluster.changeSettings({ producersMax: 7 }, forever));
    await expect(refused).rejects.toThrow(FeatureNotEnabledError);
    const forwarded = group.settled(group.follower().cluster.changeSettings({ producersMax: 7 }, forever));
    await expect(forwarded).rejects.toThrow(FeatureNotEnabledError);
    const until = group.clock.now() + 5_000;
    await group.until(() => group.clock.now() > until);
    expect(settingsOf(leader)).toEqual({});
    group.network.offered.delete(2);
    await group.until(isSame(group, { featureLevel: 1 }));
    await group.settled(leader.cluster.changeSettings({ producersMax: 7 }, forever));
  });

  it('is not raised while a member is away', async () => {
    const group = await Group.of(names, { settings: {} });
    // Before the leader can have raised it.
    await group.stop('n3');
    const leader = await group.leader();
    const until = group.clock.now() + 5_000;
    await group.until(() => group.clock.now() > until);
    expect(settingsOf(leader)).toEqual({});
    await group.start('n3');
    await group.until(isSame(group, { featureLevel: 1 }));
  });

  it('keeps out a node of an older release, with a reason', async () => {
    const group = await Group.of(names);
    await group.leader();
    const refused = await group.ask('n4', uuidOf('n4'), 0);
    expect(refused).toMatchObject({ kind: 'refused' });
    expect(JSON.stringify(refused)).toMatch(/is at feature level 1, and n4 offers level 0: start n4 with the release/);
    expect(await group.ask('n4', uuidOf('n4'))).toMatchObject({ kind: 'joined' });
  });

  it('keeps a node from starting if it does not know the level of its data directory', async () => {
    const disk = emptyDisk(uuidOf('n1'));
    const { raft } = disk;
    const first = firstConfiguration(memberOf('n1', 1));
    const bytes = await (async () => {
      const configuration = await ConfigurationFile.open(raft, crc32c);
      await configuration.write({ id: 1, contacts: [], history: [first] });
      const file = await raft.open('snapshot');
      return new TextDecoder().decode(await file.read(12, (await file.size()) - 12));
    })();
    const json = new TextEncoder().encode(bytes.replace('"featureLevel":1', `"featureLevel":${featureLevelKnown + 1}`));
    const file = await raft.open('snapshot');
    const checksum = new DataView(new ArrayBuffer(4));
    checksum.setUint32(0, crc32c(json) >>> 0);
    await file.write(8, [new Uint8Array(checksum.buffer), json]);
    await expect(new Group().start('n1', { disk })).rejects.toThrow(UnknownFeatureLevelError);
  });
});
