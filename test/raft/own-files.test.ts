import { describe, expect, it } from '@jest/globals';
import { CorruptConfigurationError } from '../../src/application/configuration/configuration-file.js';
import { OutdatedConfigurationError } from '../../src/application/node/logged-configurations.js';
import { toOffset } from '../../src/domain/log/offsets.js';
import { Group, type GroupDisk, type GroupMember, records, valuesOf } from './group.js';

const forever = new AbortController().signal;
const names = ['n1', 'n2', 'n3'];

type RaftFile = 'snapshot' | 'hard-state';

async function read({ raft }: Pick<GroupDisk, 'raft'>, name: RaftFile): Promise<Uint8Array> {
  const file = await raft.open(name);
  return file.read(0, await file.size());
}

async function write({ raft }: Pick<GroupDisk, 'raft'>, name: RaftFile, bytes: Uint8Array): Promise<void> {
  const file = await raft.open(name);
  await file.truncate(0);
  await file.write(0, [bytes]);
}

async function produce(group: Group, value: string): Promise<void> {
  const { node } = await group.leader();
  await group.settled(node.propose(records(value)));
}

const voters = ({ node }: GroupMember): readonly number[] => node.leadership.configuration.confState.voters;
const hasLogged = ({ lines }: GroupMember, event: string): boolean => lines.some((line) => line.event === event);

async function rest(group: Group): Promise<void> {
  const before = group.clock.now();
  await group.until(() => group.clock.now() - before > 20_000);
}

/** A cluster that n1 began alone, with what n1 had on its disk then; n2 and n3 have become voters since. */
async function grown(
  options: ConstructorParameters<typeof Group>[0] = {},
): Promise<{ group: Group; alone: GroupDisk }> {
  const group = new Group(options);
  await group.start('n1');
  await produce(group, 'alone');
  const alone = await group.copyDisk('n1');
  for (const name of ['n2', 'n3']) {
    await group.start(name);
    await group.until(() => voters(group.get('n1')).length === group.running.size);
  }
  await produce(group, 'together');
  return { group, alone };
}

describe('a configuration file that was put back from an older copy', () => {
  it.each(['stop', 'crash'] as const)(
    'is brought up to date from the log before the node decides that it is alone (%s)',
    async (end) => {
      const { group, alone } = await grown();
      for (const name of names) await group[end](name);
      await write(group.disk('n1'), 'snapshot', await read(alone, 'snapshot'));
      const { lines, started } = await group.begin('n1');
      expect((await group.storedConfiguration('n1'))?.history.at(-1)?.confState.voters).toEqual([1, 2, 3]);
      expect(lines.some(({ event }) => event === 'configuration_outdated')).toBe(true);
      await rest(group);
      expect(started.work.raft).toBeUndefined();
      await group.settled(started.close());
      await Promise.all(names.map((name) => group.start(name)));
      const n1 = group.get('n1');
      await produce(group, 'again');
      await group.until(() => n1.node.highWatermark === 3);
      expect(await valuesOf(n1)).toEqual(['alone', 'together', 'again']);
    },
  );

  it('is brought up to date even if the hard state is as old', async () => {
    const { group, alone } = await grown();
    for (const name of names) await group.stop(name);
    await group.putBack('n1', { raft: alone.raft });
    const { started } = await group.begin('n1');
    expect((await group.storedConfiguration('n1'))?.history.at(-1)?.confState.voters.length).toBeGreaterThan(1);
    await rest(group);
    expect(started.work.raft).toBeUndefined();
  });

  it('keeps the node from starting if the log no longer has what is missing', async () => {
    const { group, alone } = await grown({ segmentBytesMax: 300, retention: { bytesMax: 1 } });
    for (let i = 0; i < 20; i++) await produce(group, `value ${i} ${'x'.repeat(100)}`);
    const { log } = group.get('n1');
    await group.until(() => log.startOffset > toOffset(10));
    await group.stop('n1');
    await write(group.disk('n1'), 'snapshot', await read(alone, 'snapshot'));
    const starting = group.start('n1');
    await expect(starting).rejects.toThrow(OutdatedConfigurationError);
    await expect(starting).rejects.toThrow(/start with an empty one/);
    await expect(starting).rejects.not.toThrow(/restore/);
  });

  it.each(['with raft/ as a whole', 'with the hard state'])(
    'keeps the node from starting if the log begins after what is missing (%s)',
    async (what) => {
      const { group } = await grown({ segmentBytesMax: 300, retention: { bytesMax: 1 } });
      const older = await group.copyDisk('n3');
      const { cluster } = await group.leader();
      await group.settled(cluster.changeSettings({ retentionAgeMs: 3_600_000 }, forever));
      for (let i = 0; i < 20; i++) await produce(group, `value ${i} ${'x'.repeat(100)}`);
      const { log } = group.get('n3');
      await group.until(() => log.startOffset > toOffset(10));
      await group.stop('n3');
      if (what === 'with raft/ as a whole') await group.putBack('n3', { raft: older.raft });
      else
        for (const name of ['snapshot', 'hard-state'] as const)
          await write(group.disk('n3'), name, await read(older, name));
      await expect(group.start('n3')).rejects.toThrow(OutdatedConfigurationError);
    },
  );

  it('keeps the node from starting if its log is an older copy that begins before what it knows', async () => {
    const { group } = await grown({ segmentBytesMax: 300, retention: { bytesMax: 1 } });
    const { cluster } = await group.leader();
    const fill = async (): Promise<void> => {
      const end = group.get('n3').log.endOffset;
      for (let i = 0; i < 20; i++) await produce(group, `value ${i} ${'x'.repeat(100)}`);
      await group.until(() => group.get('n3').log.startOffset > toOffset(end + 10));
    };
    await group.settled(cluster.changeSettings({ retentionAgeMs: 3_600_000 }, forever));
    await fill();
    const older = await group.copyDisk('n3');
    for (const retentionAgeMs of [7_200_000, 3_600_000]) {
      await group.settled(cluster.changeSettings({ retentionAgeMs }, forever));
      await fill();
    }
    await group.stop('n3');
    await group.putBack('n3', { log: older.log });
    await expect(group.start('n3')).rejects.toThrow(OutdatedConfigurationError);
  });

  it('has the node join again where the log says that it ran under a later Raft id', async () => {
    const { group } = await grown();
    const { node, cluster } = await group.leader();
    const { name, id } = group.follower().member;
    const older = await group.copyDisk(name);
    await group.stop(name);
    await group.settled(cluster.removeMember(name, forever));
    await group.settled(node.propose(records('without it')));
    const back = await group.start(name);
    expect(back.member.id).toBe(4);
    await group.until(() => voters(back).includes(4) && hasLogged(back, 'configuration_changed'));
    await group.stop(name);
    await write(group.disk(name), 'snapshot', await read(older, 'snapshot'));
    const again = await group.start(name);
    expect([id, again.member.id]).toEqual([expect.any(Number), 5]);
    await group.until(() => voters(again).includes(5));
  });
});

describe('a configuration file that is gone or damaged', () => {
  it.each([
    ['removed', ({ raft }: GroupDisk) => raft.remove('snapshot')],
    ['damaged', (disk: GroupDisk) => write(disk, 'snapshot', new Uint8Array(100).fill(0xa5))],
    [
      'removed with the hard state',
      async ({ raft }: GroupDisk) => {
        for (const name of ['snapshot', 'hard-state']) await raft.remove(name);
        await raft.create('other');
      },
    ],
  ])('keeps the node from starting, and no cluster begins on its log (%s)', async (_what, damage) => {
    const { group } = await grown();
    await group.stop('n1');
    await damage(group.disk('n1'));
    const starting = group.start('n1');
    await expect(starting).rejects.toThrow(CorruptConfigurationError);
    await expect(starting).rejects.toThrow(/start with an empty one/);
    await expect(starting).rejects.not.toThrow(/restore/);
  });
});

describe('F5: a hard state that is gone or damaged', () => {
  const damages = [
    ['removed', ({ raft }: GroupDisk) => raft.remove('hard-state')],
    ['damaged in both slots', (disk: GroupDisk) => write(disk, 'hard-state', new Uint8Array(8192).fill(0xa5))],
    ['cut off', (disk: GroupDisk) => write(disk, 'hard-state', new Uint8Array(10))],
  ] satisfies [string, (disk: GroupDisk) => Promise<void>][];

  it.each(damages)(
    'costs a member neither its log nor its Raft id, once its peers vouch for it (%s)',
    async (_what, damage) => {
      const { group } = await grown();
      const leader = await group.leader();
      const { name, id } = group.follower().member;
      await group.stop(name);
      await damage(group.disk(name));
      const back = await group.start(name);
      expect(hasLogged(back, 'hard_state_lost')).toBe(true);
      expect(back.member.id).toBe(id);
      // It grants no vote in the terms up to that of those that vouched for it.
      const { term, vote } = back.started.hardState.current;
      expect(term).toBeGreaterThanOrEqual(leader.node.leadership.status.hardState.term);
      expect(vote).not.toBe(0);
      await produce(group, 'again');
      await group.until(() => back.node.highWatermark === 3);
      expect(await valuesOf(back)).toEqual(['alone', 'together', 'again']);
      await group.stop(name);
      const again = await group.start(name);
      expect([again.member.id, hasLogged(again, 'hard_state_lost')]).toEqual([id, false]);
    },
  );

  it.each(damages)('keeps a member from running Raft until its peers vouch for it (%s)', async (_what, damage) => {
    const { group } = await grown();
    for (const name of names) await group.stop(name);
    await damage(group.disk('n1'));
    const { started } = await group.begin('n1');
    await rest(group);
    expect(started.work.raft).toBeUndefined();
    expect(started.work.waiting).toContain('hard state lost');
    await Promise.all(['n2', 'n3'].map((name) => group.start(name)));
    await group.until(() => started.work.raft !== undefined);
  });

  it.each(damages)('costs a group of one nothing (%s)', async (_what, damage) => {
    const group = new Group();
    await group.start('n1');
    for (const value of ['one', 'two']) await produce(group, value);
    await group.stop('n1');
    await damage(group.disk('n1'));
    const n1 = await group.start('n1');
    expect(hasLogged(n1, 'hard_state_lost')).toBe(true);
    expect(n1.node.highWatermark).toBe(2);
    await produce(group, 'three');
    await group.stop('n1');
    const again = await group.start('n1');
    expect(hasLogged(again, 'hard_state_lost')).toBe(false);
    expect(await valuesOf(again)).toEqual(['one', 'two', 'three']);
  });
});
