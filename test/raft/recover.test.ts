import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { ConfigurationFile, InterruptedRecoveryError } from '../../src/application/configuration/configuration-file.js';
import {
  planRecovery,
  recoverHistory,
  type RecoveredParts,
  type RecoveryPlan,
  RecoveryRefusedError,
} from '../../src/application/repair/recover-history.js';
import { HardStateFile } from '../../src/domain/log/hard-state-file.js';
import { Log } from '../../src/domain/log/log.js';
import { toEpochMs } from '../../src/domain/log/offsets.js';
import { emptyDisk, Group, type GroupDisk, logId, records, uuidOf, valuesOf } from './group.js';

const names = ['n1', 'n2', 'n3'];

async function opened({ raft, log: folder, uuid }: GroupDisk): Promise<RecoveredParts & { close(): Promise<void> }> {
  const checksum = { crc32c, logId };
  const configuration = await ConfigurationFile.open(raft, crc32c);
  const hardState = await HardStateFile.open(raft, crc32c);
  const log = await Log.open(folder, { ...checksum, durableIndex: hardState.current.commit });
  const close = async (): Promise<void> => {
    await log.close();
    await hardState.close();
  };
  return { raft, log, hardState, configuration, uuid, checksum, close };
}

async function recover(disk: GroupDisk): Promise<RecoveryPlan> {
  const parts = await opened(disk);
  try {
    const plan = await planRecovery(parts);
    await recoverHistory(parts, plan, toEpochMs(1));
    return plan;
  } finally {
    await parts.close();
  }
}

/** A group of three that has appended these, then lost all its processes. */
async function lostGroup(...values: string[]): Promise<Group> {
  const group = await Group.of(names);
  const { node } = await group.leader();
  for (const value of values) await group.settled(node.propose(records(value)));
  await group.until(() => [...group.running.values()].every((each) => each.node.highWatermark === values.length));
  for (const name of names) await group.crash(name);
  return group;
}

describe('a recovery', () => {
  it('makes one member the only one, keeps its log, and has the others join again with empty logs', async () => {
    const group = await lostGroup('a', 'b', 'c');
    const plan = await recover(group.disk('n1'));
    expect(plan).toMatchObject({ generation: 1, name: 'n1', previousId: 1, memberId: 4, startOffset: 0, endOffset: 3 });
    expect(plan.removed.map(({ name }) => name)).toEqual(['n2', 'n3']);

    const alone = await group.start('n1');
    expect(alone.node.leadership.isLeader).toBe(true);
    expect(group.readinessOf('n1')).toEqual({ state: 'ready' });
    expect(alone.lines.find(({ event }) => event === 'cluster_recovered')).toMatchObject({
      fields: { audit: 'recover', generation: 1, memberId: 4 },
    });
    await group.settled(alone.node.propose(records('d')));
    expect(await valuesOf(alone)).toEqual(['a', 'b', 'c', 'd']);

    for (const name of ['n2', 'n3']) {
      const back = await group.start(name);
      expect(back.lines.map(({ event }) => event)).toContain('log_set_aside');
      await group.until(() => back.node.highWatermark === 4);
      expect(await valuesOf(back)).toEqual(['a', 'b', 'c', 'd']);
      await group.until(() => back.node.leadership.configuration.confState.voters.includes(back.member.id));
      expect(back.node.leadership.configuration.settings.generation).toBe(1);
    }
    expect(group.get('n1').node.leadership.configuration.members.map(({ id }) => id)).toEqual([4, 5, 6]);
    // And from then on as members of the new generation.
    await group.stop('n2');
    const again = await group.start('n2');
    expect(again.lines.map(({ event }) => event)).not.toContain('log_set_aside');
    expect(again.member.id).toBe(5);
  });

  it('keeps what is not known to be committed, and never uses a Raft id again', async () => {
    const group = await Group.of(names);
    const leader = await group.leader();
    const others = names.filter((name) => name !== leader.member.name);
    for (const name of others) await group.crash(name);
    // Neither can be committed now; the node may not come back to know.
    leader.node.propose(records('a')).catch(() => undefined);
    leader.cluster.addMember({ name: 'n4', rpcAddr: 'n4:8400' }, new AbortController().signal).catch(() => undefined);
    await group.until(() => leader.log.endOffset === 1 && leader.log.lastIndex === leader.node.leadership.lastIndex);
    const { lastIndex } = leader.log;
    const { commit } = leader.node.leadership.status.hardState;
    expect(commit).toBeLessThan(lastIndex - 1);
    await group.crash(leader.member.name);

    const plan = await recover(group.disk(leader.member.name));
    expect(plan).toMatchObject({ memberId: 5, lastIndex, endOffset: 1 });
    expect(plan.commitIndex).toBeLessThan(lastIndex);
    const alone = await group.start(leader.member.name);
    expect(await valuesOf(alone)).toEqual(['a']);
    const { members, confState } = alone.node.leadership.configuration;
    expect([members.map(({ id }) => id), confState.voters, confState.learners]).toEqual([[5], [5], []]);
  });

  it('can be made again, and begins another generation each time', async () => {
    const group = await lostGroup('a');
    await recover(group.disk('n1'));
    expect(await recover(group.disk('n1'))).toMatchObject({ generation: 2, memberId: 5, removed: [] });
    expect((await group.start('n1')).node.leadership.isLeader).toBe(true);
  });

  it('that was interrupted keeps the node from starting, and is finished by the next one', async () => {
    for (const failsAt of ['append', 'sync'] as const) {
      const group = await lostGroup('a');
      const disk = group.disk('n1');
      const parts = await opened(disk);
      const failing = new Proxy(parts.log, {
        get: (log, name) => {
          if (name === failsAt) return () => Promise.reject(new Error('power cut'));
          const value: unknown = Reflect.get(log, name, log);
          return typeof value === 'function' ? (value.bind(log) as unknown) : value;
        },
      });
      const plan = await planRecovery(parts);
      await expect(recoverHistory({ ...parts, log: failing }, plan, toEpochMs(1))).rejects.toThrow('power cut');
      await parts.close();
      await expect(group.start('n1')).rejects.toThrow(InterruptedRecoveryError);
      await recover(disk);
      const alone = await group.start('n1');
      expect(alone.node.leadership.isLeader).toBe(true);
      expect(await valuesOf(alone)).toEqual(['a']);
    }
  });

  it('made again while a member is away is what that member joins, and its log stays until it has', async () => {
    const group = await lostGroup('a');
    await recover(group.disk('n1'));
    await group.start('n1');
    // Told by the first recovery, it finds no leader of it any more.
    const { raft } = group.disk('n2');
    const configuration = await ConfigurationFile.open(raft, crc32c);
    await configuration.noteSuperseded(1);
    await group.stop('n1');
    await recover(group.disk('n1'));
    let isBack = false;
    const starting = group.start('n2').then((back) => {
      isBack = true;
      return back;
    });
    const until = group.clock.now() + 20_000;
    await group.until(() => group.clock.now() > until);
    expect(isBack).toBe(false);
    expect(group.readinessOf('n2')).toEqual({
      state: 'superseded',
      problem: expect.stringMatching(/recovered without this node \(generation 1\).* logs\/before-generation-1$/),
    });
    expect((await group.disk('n2').log.list()).length).toBeGreaterThan(0);
    await group.start('n1');
    const back = await starting;
    await group.until(() => back.node.highWatermark === 1);
    expect(back.node.leadership.configuration.settings.generation).toBe(2);
  });

  it('is noted by a member that waits for its cluster when it is told, and that joins again at its next start', async () => {
    const group = await lostGroup('a');
    await recover(group.disk('n1'));
    const configuration = await ConfigurationFile.open(group.disk('n2').raft, crc32c);
    await configuration.noteAmnesia();
    const waiting = await group.begin('n2');
    await group.until(() => waiting.started.work.waiting !== undefined);
    await group.start('n1');
    await group.until(() => waiting.fatal.length > 0);
    expect((await group.storedConfiguration('n2'))?.superseded).toBe(1);
    await waiting.gossip.close();
    const back = await group.start('n2');
    await group.until(() => back.node.highWatermark === 1);
    expect(back.lines.map(({ event }) => event)).toContain('log_set_aside');
  });

  it('is refused for a directory that is in no cluster, and for a replica', async () => {
    const empty = await opened(emptyDisk(uuidOf('n1')));
    await expect(planRecovery(empty)).rejects.toThrow(RecoveryRefusedError);
    await empty.configuration.write({ id: 0, contacts: [], history: [], replica: true });
    await expect(planRecovery(empty)).rejects.toThrow('belongs to a replica');
  });
});
