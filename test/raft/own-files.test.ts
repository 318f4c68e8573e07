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
      const n1 = await group.start('n1');
      expect(voters(n1)).toEqual([1, 2, 3]);
      expect(hasLogged(n1, 'configuration_outdated')).toBe(true);
      group.clock.advance(10_000);
      await group.until(() => n1.node.leadership.status.softState.raftState !== 'StateFollower');
      expect(n1.node.leadership.isLeader).toBe(false);
      for (const name of ['n2', 'n3']) await group.start(name);
      await produce(group, 'again');
      await group.until(() => n1.node.highWatermark === 3);
      expect(await valuesOf(n1)).toEqual(['alone', 'together', 'again']);
    },
  );

  it('is brought up to date even if the hard state is as old', async () => {
    const { group, alone } = await grown();
    for (const name of names) await group.stop(name);
    await group.putBack('n1', { raft: alone.raft });
    const n1 = await group.start('n1');
    expect(voters(n1).length).toBeGreaterThan(1);
    group.clock.advance(10_000);
    await group.until(() => n1.node.leadership.status.softState.raftState !== 'StateFollower');
    expect(n1.node.leadership.isLeader).toBe(false);
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

  it.each(damages)('has a member join again under a new Raft id, with its log (%s)', async (_what, damage) => {
    const { group } = await grown();
    await group.leader();
    const { name, id } = group.follower().member;
    await group.stop(name);
    await damage(group.disk(name));
    const back = await group.start(name);
    expect(hasLogged(back, 'hard_state_lost')).toBe(true);
    expect(back.member.id).toBe(4);
    await produce(group, 'again');
    await group.until(() => back.node.highWatermark === 3);
    expect(await valuesOf(back)).toEqual(['alone', 'together', 'again']);
    await group.until(() => voters(back).includes(4) && !voters(back).includes(id));
    await group.stop(name);
    const again = await group.start(name);
    expect([again.member.id, hasLogged(again, 'hard_state_lost')]).toEqual([4, false]);
  });

  it.each(damages)('keeps a member from taking part until it has a new Raft id (%s)', async (_what, damage) => {
    const { group } = await grown();
    for (const name of names) await group.stop(name);
    await damage(group.disk('n1'));
    let started: GroupMember | undefined;
    const starting = group.start('n1').then((member) => (started = member));
    const isAsking = async (): Promise<boolean> => (await group.storedConfiguration('n1'))?.amnesiac === true;
    while (!(await isAsking())) await group.until(() => true);
    const before = group.clock.now();
    await group.until(() => group.clock.now() - before > 20_000);
    expect(started).toBeUndefined();
    for (const name of ['n2', 'n3']) await group.start(name);
    await group.settled(starting);
    expect(started?.member.id).toBe(4);
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
