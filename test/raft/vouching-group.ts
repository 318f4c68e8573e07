import { expect } from '@jest/globals';
import type { Group } from './group.js';
import { type GroupMember, records, valuesOf } from './group.js';

export const names = ['n1', 'n2', 'n3'];

export async function produce(group: Group, { node }: GroupMember, from: number, until: number): Promise<void> {
  for (let i = from; i < until; i++) await group.settled(node.propose(records(`value ${i}`)));
  await group.until(() => [...group.running.values()].every((each) => each.node.highWatermark === until));
}

const upTo = (count: number): string[] => Array.from({ length: count }, (_, i) => `value ${i}`);

export async function stopAll(group: Group, how: 'stop' | 'crash' = 'stop'): Promise<void> {
  for (const name of [...group.running.keys()]) await group[how](name);
}

export async function startAll(group: Group, which: readonly string[] = names): Promise<GroupMember> {
  await Promise.all(which.map((name) => group.start(name)));
  return group.leader();
}

/** Expects that each node has all values and that the cluster takes more. */
export async function expectWhole(group: Group, count: number, size = names.length): Promise<void> {
  const leader = await group.leader();
  await group.until(() => leader.node.leadership.configuration.confState.voters.length === size);
  await produce(group, leader, count, count + 1);
  for (const each of group.running.values()) {
    expect(each.fatal).toEqual([]);
    expect(await valuesOf(each)).toEqual(upTo(count + 1));
  }
}

/** Lets the heartbeats and the notes of a few seconds pass. */
export async function rest(group: Group, ms = 5_000): Promise<void> {
  const began = group.clock.now();
  await group.until(() => group.clock.now() - began >= ms);
}

export const eventsOf = ({ lines }: Pick<GroupMember, 'lines'>): string[] => lines.map(({ event }) => event);
