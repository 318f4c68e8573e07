import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../src/adapters/checksum/crc32c.js';
import { ManualClock } from '../../src/adapters/memory/manual-clock.js';
import { MemoryDirectory } from '../../src/adapters/memory/memory-directory.js';
import { ConfigurationFile } from '../../src/application/configuration/configuration-file.js';
import { DamagedNode } from '../../src/application/repair/damaged-node.js';
import { CommitLogService } from '../../src/application/commit-log-service.js';
import { UnavailableError } from '../../src/application/errors.js';
import { CommittedEntries } from '../../src/application/repair/committed-entries.js';
import { watchDamage } from '../../src/application/repair/damage-watch.js';
import { DamagedEndError } from '../../src/domain/log/errors.js';
import { HardStateFile } from '../../src/domain/log/hard-state-file.js';
import { Log } from '../../src/domain/log/log.js';
import { toOffset, toTerm } from '../../src/domain/log/offsets.js';
import { Group, type GroupMember, records, valuesOf } from './group.js';
import { RecordingLogger } from '../logging/recording-logger.js';

const logId = new Uint8Array(16).fill(7);
const forever = new AbortController().signal;

async function flip(directory: MemoryDirectory, position: (size: number) => number): Promise<void> {
  const name = (await directory.list()).filter((each) => each.endsWith('.store')).at(-1)!;
  const file = await directory.open(name);
  const at = position(await file.size());
  const [byte] = await file.read(at, 1);
  await file.write(at, [Uint8Array.of(byte ^ 1)]);
}

async function groupWith(values: number): Promise<{ group: Group; leader: GroupMember }> {
  const group = await Group.of(['n1', 'n2', 'n3']);
  const leader = await group.leader();
  for (let i = 0; i < values; i++) await group.settled(leader.node.propose(records(`value ${i}`)));
  return { group, leader };
}

describe('a follower whose log was damaged while it was stopped', () => {
  it('has the same log as the others again, and counts for a quorum', async () => {
    const { group, leader } = await groupWith(20);
    const { member } = group.follower();
    await group.until(() => group.get(member.name).node.highWatermark === 20);
    await group.stop(member.name);
    await group.settled(leader.node.propose(records('meanwhile')));
    await flip(group.disk(member.name).log, (size) => size >> 1);
    const back = await group.start(member.name);
    await group.until(() => back.log.lastIndex === leader.log.lastIndex);
    const third = [...group.running.values()].find(({ node }) => node !== leader.node && node !== back.node)!;
    await group.stop(third.member.name);
    await group.settled(leader.node.propose(records('with it')));
    await group.until(() => back.node.highWatermark === 22);
    expect(await valuesOf(back)).toEqual(await valuesOf(leader));
    expect((await valuesOf(back)).slice(-2)).toEqual(['meanwhile', 'with it']);
    expect(back.fatal).toEqual([]);
  });

  it('does not wait in vain for a leader of an earlier term than its own', async () => {
    const { group, leader } = await groupWith(5);
    const { member } = group.follower();
    await group.stop(member.name);
    const { raft, log } = group.disk(member.name);
    const hardState = await HardStateFile.open(raft, crc32c);
    const { term } = leader.node.leadership.status.hardState;
    // It voted for a candidate that never led.
    await hardState.save({ ...hardState.current, term: toTerm(term + 3), vote: 0 });
    await flip(log, (size) => size - 10);
    const back = await group.start(member.name);
    expect((await group.leader()).node.leadership.status.hardState.term).toBeGreaterThanOrEqual(term + 3);
    await group.until(() => back.node.highWatermark === 5);
    expect(await valuesOf(back)).toEqual(['value 0', 'value 1', 'value 2', 'value 3', 'value 4']);
  });
});

describe('what a member serves to a member that repairs its log', () => {
  it('is limited to committed and applied entries', async () => {
    const { leader } = await groupWith(5);
    const handler = new CommittedEntries(leader);
    const end = handler.logEnd(9, 0);
    expect(end).toMatchObject({ leads: true, startIndex: 1, commitIndex: leader.log.lastIndex });
    const read = async (from: number, until: number): Promise<number[]> => {
      const indexes: number[] = [];
      for await (const run of handler.read(from, until)) indexes.push(...run.map(({ index }) => index));
      return indexes;
    };
    expect(await read(2, end.commitIndex + 1)).toEqual([2, 3, 4, 5, 6].slice(0, end.commitIndex - 1));
    await expect(read(2, end.commitIndex + 2)).rejects.toBeInstanceOf(UnavailableError);
    await expect(read(0, 3)).rejects.toThrow(/out of range/);
  });
});

describe('a node under repair', () => {
  it('serves what it can read, refuses the rest as retryable, and reports the problem', async () => {
    const { group } = await groupWith(5);
    const { log, member, node, started } = group.follower();
    await group.until(() => node.highWatermark === 5);
    const damaged = new DamagedNode({
      log,
      hardState: started.hardState,
      configuration: { current: node.leadership.configuration, stored: undefined },
      self: member,
      clusterId: logId,
      repair: { readableEnd: toOffset(3), progress: 'it waits' },
    });
    const service = new CommitLogService(damaged, log, { current: node.leadership.configuration });
    const { highWatermark } = await service.read({ offset: toOffset(1) }, { signal: forever });
    expect(highWatermark).toBe(3);
    await expect(service.read({ offset: toOffset(3) }, { signal: forever })).rejects.toBeInstanceOf(UnavailableError);
    await expect(service.read('latest', { signal: forever })).rejects.toBeInstanceOf(UnavailableError);
    await expect(service.append(records('a'))).rejects.toBeInstanceOf(UnavailableError);
    expect(damaged.readiness.state).toBe('repairing');
    expect((await damaged.status()).problem).toMatch(/^the log of .* is damaged; .*: it waits$/);
    const following = service.follow({ offset: toOffset(2) }, { signal: forever });
    expect((await following.next()).value.batches).toHaveLength(1);
    const more = following.next();
    await damaged.close();
    await expect(more).rejects.toBeInstanceOf(UnavailableError);
  });
});

describe('damage that a reader finds', () => {
  it('is noted once, for the next start', async () => {
    const { group } = await groupWith(1);
    const { node } = group.follower();
    const configuration = await ConfigurationFile.open(new MemoryDirectory(), crc32c);
    await configuration.write({ id: 1, contacts: [], history: [node.leadership.configuration] });
    const directory = new MemoryDirectory();
    const log = await Log.open(directory, { logId, crc32c });
    const clock = new ManualClock();
    const fatal: unknown[] = [];
    const logger = new RecordingLogger();
    const watched = { quarantined: log.quarantined, assertAppendable: () => undefined };
    const stop = watchDamage({
      log: watched,
      configuration,
      id: 1,
      clock,
      logger,
      onFatal: (error) => fatal.push(error),
    });
    const passes = async (): Promise<void> => {
      clock.advance(1_000);
      for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    };
    await passes();
    expect(configuration.stored?.damagedFrom).toBeUndefined();
    const range = { from: toOffset(4), to: toOffset(6), fromIndex: 5, toIndex: 7, reason: 'bad' };
    watched.quarantined = [range as (typeof log.quarantined)[number]];
    await passes();
    await passes();
    expect(configuration.stored?.damagedFrom).toBe(5);
    expect(fatal).toEqual([]);
    expect(logger.lines).toMatchObject([{ level: 'error', event: 'stored_entries_damaged', fields: { fromIndex: 5 } }]);
    await stop();
  });

  it('ends the node if it prevents appends: as a leader the node would keep leading and refuse every append', async () => {
    const { group, leader } = await groupWith(5);
    const configuration = await ConfigurationFile.open(group.disk(leader.member.name).raft, crc32c);
    const fatal: unknown[] = [];
    const ignore = (): void => undefined;
    const stop = watchDamage({
      log: leader.log,
      configuration,
      id: leader.member.id,
      clock: group.clock,
      logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
      onFatal: (error) => fatal.push(error),
    });
    await flip(group.disk(leader.member.name).log, (size) => size >> 1);
    await group.settled(valuesOf(leader).catch(ignore));
    expect(leader.log.quarantined).not.toEqual([]);
    await expect(leader.node.propose(records('refused'))).rejects.toBeInstanceOf(DamagedEndError);
    await group.until(() => fatal.length > 0, 2_000);
    expect(fatal).toEqual([expect.any(DamagedEndError)]);
    expect(configuration.stored?.damagedFrom).toBe(leader.log.quarantined[0].fromIndex);
    await stop();
  });
});
