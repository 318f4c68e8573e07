import { describe, expect, it } from '@jest/globals';
import { type Offset, toIndex } from '../../src/domain/log/offsets.js';
import { Group, type GroupMember, records } from './group.js';

const names = ['n1', 'n2', 'n3'];
const hourMs = 3_600_000;
const yearMs = 365 * 24 * hourMs;
const ageMsMax = 80_000;

async function passed(group: Group, ms: number): Promise<void> {
  const until = group.clock.now() + ms;
  await group.until(() => group.clock.now() >= until, ms + 60_000);
}

async function append(group: Group): Promise<Offset> {
  const { node } = await group.leader();
  const { baseOffset } = await group.settled(node.propose(records('x'.repeat(100))));
  return baseOffset;
}

/** Appends for a while, and returns the offset of the last record and of those before it. */
async function appendFor(group: Group, ms: number, everyMs = 5_000): Promise<Offset[]> {
  const offsets: Offset[] = [];
  for (let left = ms; left > 0; left -= everyMs) {
    offsets.push(await append(group));
    await passed(group, everyMs);
  }
  return offsets;
}

/** The append times of all that the node stores, by entry. */
async function timesAt(group: Group, { log }: GroupMember): Promise<number[]> {
  const until = toIndex(log.lastIndex + 1);
  const times: number[] = [];
  for (let from = log.startIndex; from < until;) {
    const batches = await group.settled(log.readEntries(from, { until, bytesMax: 1 << 20 }));
    times.push(...batches.map(({ appendTimeMs }) => appendTimeMs));
    from = toIndex(batches[batches.length - 1].index + 1);
  }
  return times;
}

const logged = (node: GroupMember, wanted: string): boolean => node.lines.some(({ event }) => event === wanted);
const starts = (group: Group): number[] => [...group.running.values()].map(({ log }) => log.startOffset);
const groupWithAge = (of = names): Promise<Group> => Group.of(of, { retention: { ageMsMax } });

describe('a wall clock that goes back', () => {
  it('does not change how long a member was not heard from', async () => {
    const group = await Group.of(names);
    const leader = await group.leader();
    await passed(group, 1_000);
    const dead = group.follower().member;
    await group.crash(dead.name);
    group.aheadMs.set(leader.member.name, -hourMs);
    await passed(group, 10_000);
    expect(leader.node.leadership.heardMsAgo(dead.id)).toBeGreaterThanOrEqual(10_000);
  });

  it.each([1, 3])(
    'of the leader of %d removes nothing that is younger than the age, and append times never go back',
    async (size) => {
      const group = await groupWithAge(names.slice(0, size));
      await appendFor(group, 20_000);
      const leader = await group.leader();
      group.aheadMs.set(leader.member.name, -hourMs);
      const offsets = await appendFor(group, 2 * ageMsMax);
      group.aheadMs.clear();
      const [younger] = offsets.slice(-12);
      await passed(group, 15_000);
      for (const start of starts(group)) expect(start).toBeLessThanOrEqual(younger);
      const times = await timesAt(group, leader);
      expect(times).toEqual([...times].sort((a, b) => a - b));
      // What is too old is removed again.
      await passed(group, ageMsMax);
      await appendFor(group, 40_000);
      for (const start of starts(group)) expect(start).toBeGreaterThan(offsets[offsets.length - 1]);
    },
  );
});

describe('a wall clock that goes forward', () => {
  it.each([1, 3])('of the leader of %d removes no fresh record, and hardly changes append times', async (size) => {
    const group = await groupWithAge(names.slice(0, size));
    const [first] = await appendFor(group, 40_000);
    const leader = await group.leader();
    group.aheadMs.set(leader.member.name, hourMs);
    await appendFor(group, 14_000, 1_000);
    group.aheadMs.clear();
    expect(starts(group)).toEqual(names.slice(0, size).map(() => first));
    const times = await timesAt(group, leader);
    expect(Math.max(...times)).toBeLessThanOrEqual(group.clock.wallClockMs() + 14_000);
    expect(logged(leader, 'wall_clock_differs')).toBe(true);
    await appendFor(group, ageMsMax + 40_000);
    for (const start of starts(group)) expect(start).toBeGreaterThan(first);
  });

  it('of a follower removes nothing there, also after its restart', async () => {
    const group = await groupWithAge();
    const [first] = await appendFor(group, 40_000);
    await group.leader();
    const { name } = group.follower().member;
    group.aheadMs.set(name, hourMs);
    await passed(group, 15_000);
    await group.stop(name);
    await group.start(name);
    await appendFor(group, 20_000);
    expect(group.get(name).log.startOffset).toBe(first);
  });
});

describe('an append time that is a year ahead (kafka #19137)', () => {
  it('holds neither later segments nor its own, is warned of, and is not continued by the next leader', async () => {
    const group = await groupWithAge();
    await append(group);
    // All clocks are wrong while the cluster starts: nothing can tell.
    for (const name of names) group.aheadMs.set(name, yearMs);
    for (const name of names) await group.stop(name);
    await Promise.all(names.map((name) => group.start(name)));
    await group.leader();
    const wrong = await append(group);
    group.aheadMs.clear();
    for (const name of names) await group.crash(name);
    await Promise.all(names.map((name) => group.start(name)));
    const leader = await group.leader();
    expect(logged(leader, 'log_time_ahead')).toBe(true);
    await appendFor(group, 30_000);
    expect(logged(leader, 'append_time_ahead')).toBe(true);
    const times = await timesAt(group, leader);
    expect(times[times.length - 1]).toBeLessThanOrEqual(group.clock.wallClockMs());
    await appendFor(group, ageMsMax + 40_000);
    for (const start of starts(group)) expect(start).toBeGreaterThan(wrong);
  });

  it('does not stop retention at a single node that started with a wrong clock, which is then corrected', async () => {
    const single = await groupWithAge(['n1']);
    await single.stop('n1');
    single.aheadMs.set('n1', yearMs);
    await single.start('n1');
    const wrong = await append(single);
    single.aheadMs.clear();
    await appendFor(single, 2 * ageMsMax);
    const [{ log }] = [...single.running.values()];
    expect(log.startOffset).toBeGreaterThan(wrong);
  });

  it('of one record, while the node runs, is no year ahead at all', async () => {
    const group = await groupWithAge(['n1']);
    const [first] = await appendFor(group, 10_000);
    group.aheadMs.set('n1', yearMs);
    await append(group);
    group.aheadMs.clear();
    await appendFor(group, ageMsMax + 40_000);
    const [{ log }] = [...group.running.values()];
    expect(log.startOffset).toBeGreaterThan(first + 2);
  });
});
