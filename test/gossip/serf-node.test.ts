import { describe, expect, it } from '@jest/globals';
import type { SerfMessage } from '../../src/domain/gossip/message.js';
import type { Output } from '../../src/domain/gossip/output.js';
import { PushPullRefusedError } from '../../src/domain/gossip/push-pull.js';
import { GossipTooLargeError } from '../../src/domain/gossip/serf-errors.js';
import { SimulatedNetwork, type Host } from './simulated-network.js';

const text = (words: string) => new TextEncoder().encode(words);
const minute = 60_000;

/** Creates a group of members that know each other, on a network without loss. */
function group(count: number, seed = 1): { network: SimulatedNetwork; hosts: readonly [Host, Host, ...Host[]] } {
  const network = new SimulatedNetwork({ seed });
  network.addGroup(count);
  network.run(10_000);
  const [first, second, ...rest] = network.hosts;
  if (first === undefined || second === undefined) throw new Error('a group needs at least two members');
  return { network, hosts: [first, second, ...rest] };
}

/** Delivers a Serf message to `host`, as if gossiped by `from`. */
function deliver(network: SimulatedNetwork, host: Host, from: Host, message: SerfMessage): void {
  const payload = network.wire.encodeSerf(message);
  host.running.receive({ type: 'user', payload }, from.address, network.now);
  network.settle(host);
}

function notificationsOf<T extends Output['type']>(host: Host, type: T): Extract<Output, { type: T }>[] {
  return host.notifications.filter((output): output is Extract<Output, { type: T }> => output.type === type);
}

describe('leaving', () => {
  it('is announced, so that it does not count as a failure', () => {
    const { network, hosts } = group(5);
    const [leaving, ...others] = hosts;
    const since = network.now;
    leaving.running.leave(network.now);
    network.settle(leaving);
    expect(leaving.statusOf('n0')).toBe('leaving');
    network.run(since + 12_000);
    expect(notificationsOf(leaving, 'left')).toHaveLength(1);
    expect(leaving.running.nextTickAt).toBe(Infinity);
    expect(others.map((host) => host.statusOf('n0'))).toEqual(['left', 'left', 'left', 'left']);
    expect(others.flatMap((host) => host.sightings.filter(({ event }) => event === 'failed'))).toEqual([]);
  });

  it('ends at once without other members', () => {
    const network = new SimulatedNetwork({ seed: 1 });
    const host = network.add('alone');
    host.running.leave(network.now);
    network.settle(host);
    network.run(network.now);
    expect(notificationsOf(host, 'left')).toHaveLength(1);
  });

  it('can be followed by a return under the same name', () => {
    const { network, hosts } = group(4);
    const [leaving, other, ...rest] = hosts;
    leaving.running.leave(network.now);
    network.settle(leaving);
    network.run(network.now + 12_000);
    network.start(leaving);
    network.join(leaving, other);
    network.run(network.now + 10_000);
    expect([other, ...rest].map((host) => host.statusOf('n0'))).toEqual(['alive', 'alive', 'alive']);
    expect(leaving.aliveNames).toEqual(['n0', 'n1', 'n2', 'n3']);
  });

  it('of an unknown member is not applied when the member joins', () => {
    const { network, hosts } = group(3);
    const [host, other] = hosts;
    // A returning member uses the clock of the member it joins through, which may be earlier than the time of the
    // leave.
    const notifications = network.wire.encodePushPull({
      lTime: 42,
      statusLTimes: new Map([['back', 40]]),
      leftMembers: ['back'],
      eventLTime: 1,
      events: [],
      queryLTime: 1,
    });
    host.running.mergePushPull({ ...other.running.pushPullState(false), userState: notifications }, network.now);
    const back = network.add('back');
    network.join(back, other);
    network.run(network.now + 5000);
    expect(host.statusOf('back')).toBe('alive');
  });

  it('is refuted by a member that learns only its time', () => {
    const { network, hosts } = group(3);
    const [back, other, host] = hosts;
    // Serf agents increase the time of a leave with each push/pull, so that it overrides the join intent of a return.
    const notifications = network.wire.encodePushPull({
      lTime: 42,
      statusLTimes: new Map([['n0', 40]]),
      leftMembers: ['n0'],
      eventLTime: 1,
      events: [],
      queryLTime: 1,
    });
    host.running.mergePushPull({ ...other.running.pushPullState(false), userState: notifications }, network.now);
    network.settle(host);
    expect(host.statusOf('n0')).toBe('leaving');
    back.running.mergePushPull(host.running.pushPullState(false), network.now);
    network.settle(back);
    network.run(network.now + 5000);
    expect(host.statusOf('n0')).toBe('alive');
  });

  it('is new to a member that learned its time from a push/pull with a member that had applied it', () => {
    const { network, hosts } = group(3);
    const [leaving, other, host] = hosts;
    deliver(network, other, leaving, { type: 'leave', lTime: 40, node: 'n0', prune: false });
    expect(other.statusOf('n0')).toBe('leaving');
    host.running.mergePushPull(other.running.pushPullState(false), network.now);
    expect(host.statusOf('n0')).toBe('alive');
    deliver(network, host, leaving, { type: 'leave', lTime: 40, node: 'n0', prune: false });
    expect(host.statusOf('n0')).toBe('leaving');
  });

  it('turns a failed member into one that left, by a push/pull', () => {
    const { network, hosts } = group(3);
    const [leaving, other, host] = hosts;
    const dead = { type: 'dead', incarnation: 1, node: 'n0', from: 'n0' } as const;
    deliver(network, other, leaving, { type: 'leave', lTime: 40, node: 'n0', prune: false });
    host.running.mergePushPull(other.running.pushPullState(false), network.now);
    network.crash(leaving);
    for (const each of [other, host]) each.running.receive(dead, leaving.address, network.now);
    expect([other, host].map((each) => each.statusOf('n0'))).toEqual(['left', 'failed']);
    host.running.mergePushPull(other.running.pushPullState(false), network.now);
    expect(host.statusOf('n0')).toBe('left');
  });

  it('is refuted by a member that does not leave', () => {
    const { network, hosts } = group(4);
    const [accused, other] = hosts;
    deliver(network, other, accused, { type: 'leave', lTime: 50, node: 'n0', prune: false });
    expect(other.statusOf('n0')).toBe('leaving');
    network.run(network.now + 5000);
    expect(hosts.map((host) => host.statusOf('n0'))).toEqual(['alive', 'alive', 'alive', 'alive']);
  });
});

describe('an intent', () => {
  it('that arrives before its member is kept', () => {
    const { network, hosts } = group(2);
    const [host, other] = hosts;
    deliver(network, host, other, { type: 'leave', lTime: 50, node: 'late', prune: false });
    const late = network.add('late');
    network.join(late, host);
    network.runUntil(() => host.statusOf('late') !== undefined, network.now + 1000, 1);
    expect(host.statusOf('late')).toBe('leaving');
    // The member itself announces that it joins.
    network.run(network.now + 5000);
    expect(host.statusOf('late')).toBe('alive');
  });

  it('is gossiped once, and older ones never', () => {
    const { network, hosts } = group(3);
    const [host, other] = hosts;
    deliver(network, host, other, { type: 'join', lTime: 50, node: 'n2' });
    deliver(network, host, other, { type: 'leave', lTime: 50, node: 'n2', prune: false });
    deliver(network, host, other, { type: 'leave', lTime: 49, node: 'n2', prune: false });
    expect(host.statusOf('n2')).toBe('alive');
  });
});

describe('a failed member', () => {
  it('is reconnected to until it returns', () => {
    const { network, hosts } = group(5);
    const [crashed, ...others] = hosts;
    network.crash(crashed);
    const isFailed = () => others.every((host) => host.statusOf('n0') === 'failed');
    expect(network.runUntil(isFailed, network.now + minute)).toBe(true);
    // Long enough for SWIM to forget it; Serf does not.
    network.run(network.now + 3 * minute);
    expect(isFailed()).toBe(true);
    network.start(crashed);
    expect(
      network.runUntil(() => others.every((host) => host.statusOf('n0') === 'alive'), network.now + 5 * minute),
    ).toBe(true);
    expect(crashed.aliveNames).toHaveLength(5);
  });

  it('returns at another address, after and before its failure was detected', () => {
    const { network, hosts } = group(5);
    const others = hosts.slice(1);
    const joinElsewhere = (): Host => {
      const elsewhere = network.add('n0');
      network.join(elsewhere, hosts[1]);
      return elsewhere;
    };
    const knowsAll = (host: Host, address: unknown): boolean =>
      host.aliveNames.length === 5 && host.running.members()[0]?.address === address;
    const converge = ({ address }: Host) =>
      network.runUntil(() => others.every((host) => knowsAll(host, address)), network.now + minute);

    network.crash(hosts[0]);
    network.runUntil(() => others.every((host) => host.statusOf('n0') === 'failed'), network.now + minute);
    const second = joinElsewhere();
    const since = network.now;
    expect(converge(second)).toBe(true);
    expect(network.now - since).toBeLessThan(5_000);
    network.crash(second);
    expect(converge(joinElsewhere())).toBe(true);
  });

  it('counts as left after a forced leave, and is forgotten with prune', () => {
    const { network, hosts } = group(5);
    const [crashed, other, ...rest] = hosts;
    network.crash(crashed);
    network.run(network.now + minute);
    other.running.forceLeave('n0', false, network.now);
    network.settle(other);
    network.run(network.now + 3000);
    expect([other, ...rest].map((host) => host.statusOf('n0'))).toEqual(['left', 'left', 'left', 'left']);
    other.running.forceLeave('n0', true, network.now);
    network.settle(other);
    network.run(network.now + 3000);
    expect([other, ...rest].map((host) => host.statusOf('n0'))).toEqual(Array(4).fill(undefined));
    expect(rest.every((host) => host.firstSight('reap', 'n0', 0) !== undefined)).toBe(true);
  });

  it('is forgotten after a day', () => {
    const { network, hosts } = group(2);
    const [crashed, other] = hosts;
    network.crash(crashed);
    network.run(network.now + 24 * 60 * minute - minute);
    expect(other.statusOf('n0')).toBe('failed');
    network.run(network.now + 2 * minute);
    expect(other.statusOf('n0')).toBeUndefined();
  });
});

describe('user events', () => {
  it('reach all members once, including their sender', () => {
    const { network, hosts } = group(10);
    hosts[3]?.running.userEvent('deploy', text('v1'), false, network.now);
    network.settle(hosts[3] ?? hosts[0]);
    network.run(network.now + minute);
    const names = hosts.map((host) => notificationsOf(host, 'user-event').map(({ name }) => name));
    expect(names).toEqual(Array(10).fill(['deploy']));
  });

  it('are not reported again after a restart with the saved Lamport times', () => {
    const { network, hosts } = group(3);
    const [host, other] = hosts;
    host.running.userEvent('deploy', text('v1'), false, network.now);
    network.settle(host);
    network.run(network.now + 5000);
    const lamportTimes = other.running.lamportTimes;
    network.start(other, { lamportTimes: { ...lamportTimes, event: lamportTimes.event - 1 } });
    other.notifications.length = 0;
    network.join(other, host);
    network.run(network.now + minute);
    expect(notificationsOf(other, 'user-event')).toEqual([]);
  });

  it('are limited to 512 bytes', () => {
    const { network, hosts } = group(2);
    const send = () => hosts[0].running.userEvent('big', new Uint8Array(500), false, network.now);
    expect(send).toThrow(GossipTooLargeError);
  });
});

describe('queries', () => {
  it('are acknowledged and answered once by each member, though responses arrive over several paths', () => {
    const { network, hosts } = group(8);
    const [asking] = hosts;
    const parameters = { name: 'load', payload: text('?'), wantsAck: true, relayFactor: 3 };
    const key = asking.running.query(parameters, network.now);
    network.settle(asking);
    const answered = new Set<Output>();
    for (let step = 0; step < 40; step += 1) {
      network.run(network.now + 100);
      for (const host of hosts) {
        for (const output of notificationsOf(host, 'query')) {
          if (answered.has(output)) continue;
          answered.add(output);
          host.running.respond(output.query, text(host.name), network.now);
          host.running.respond(output.query, text('again'), network.now);
          network.settle(host);
        }
      }
    }
    const names = hosts.map(({ name }) => name);
    expect(
      notificationsOf(asking, 'query-ack')
        .map(({ from }) => from)
        .toSorted(),
    ).toEqual(names);
    expect(
      notificationsOf(asking, 'query-response')
        .map(({ from }) => from)
        .toSorted(),
    ).toEqual(names);
    expect(notificationsOf(asking, 'query-end').map((each) => each.key)).toEqual([key]);
  });

  it('are delivered only to members that match the filters', () => {
    const { network, hosts } = group(4);
    const filters = [
      { type: 'nodes', names: ['n1', 'n2'] },
      { type: 'tag', tag: 'role', expression: '^log$' },
    ] as const;
    hosts[0].running.query({ name: 'load', payload: text(''), filters }, network.now);
    network.settle(hosts[0]);
    network.run(network.now + 5000);
    expect(hosts.map((host) => notificationsOf(host, 'query').length)).toEqual([0, 1, 1, 0]);
  });

  it('about keys are output to be answered; pings and conflicts are not', () => {
    const { network, hosts } = group(3);
    const [asking, other] = hosts;
    for (const name of ['_serf_ping', '_serf_conflict', '_serf_list-keys']) {
      asking.running.query({ name, payload: text('n2'), wantsAck: true }, network.now);
    }
    network.settle(asking);
    network.run(network.now + 5000);
    expect(notificationsOf(other, 'query').map(({ query }) => query.name)).toEqual(['_serf_list-keys']);
    expect(notificationsOf(asking, 'query-ack')).toHaveLength(9);
    const known = notificationsOf(asking, 'query-response').map(({ from, payload }) => [
      from,
      network.wire.decodeConflictResponse(payload).name,
    ]);
    // The member in question does not answer.
    expect(known.toSorted()).toEqual([
      ['n0', 'n2'],
      ['n1', 'n2'],
    ]);
  });

  it('are not gossiped with noBroadcast, and not answered to a non-member', () => {
    const { network, hosts } = group(3);
    const [host, other] = hosts;
    const query = {
      type: 'query',
      lTime: 9,
      id: 1,
      address: other.address,
      sourceNode: other.name,
      filters: [],
      wantsAck: true,
      noBroadcast: true,
      relayFactor: 0,
      timeoutMs: 1000,
      name: 'load',
      payload: text(''),
    } as const;
    deliver(network, host, other, query);
    deliver(network, host, other, { ...query, id: 2, address: { ip: '192.0.2.1', port: 53 } });
    network.run(network.now + 3000);
    expect(hosts.map((each) => notificationsOf(each, 'query').length)).toEqual([1, 0, 0]);
  });

  it('and responses are limited to 1024 bytes', () => {
    const { network, hosts } = group(2);
    const [host] = hosts;
    const ask = (bytes: number) => host.running.query({ name: 'q', payload: new Uint8Array(bytes) }, network.now);
    expect(() => ask(1000)).toThrow(GossipTooLargeError);
    ask(1);
    network.settle(host);
    const query = notificationsOf(host, 'query')[0]?.query;
    if (query === undefined) throw new Error('the sender must receive its own query');
    expect(() => host.running.respond(query, new Uint8Array(1000), network.now)).toThrow(GossipTooLargeError);
    // A smaller response is still accepted.
    host.running.respond(query, new Uint8Array(10), network.now);
    network.settle(host);
    expect(notificationsOf(host, 'query-response')).toHaveLength(1);
  });
});

describe('names and groups', () => {
  it('keep the first of two members that claim the same name', () => {
    const { network, hosts } = group(3);
    const [host] = hosts;
    const impostor = network.add('n1');
    network.join(impostor, host);
    network.run(network.now + 5000);
    expect(host.running.members().find(({ name }) => name === 'n1')?.address).toEqual(hosts[1].address);
    expect(notificationsOf(host, 'name-conflict')[0]).toMatchObject({
      member: { name: 'n1' },
      other: impostor.address,
    });
  });

  it('reject a push/pull from another group or with another version, and change nothing', () => {
    const network = new SimulatedNetwork({ seed: 1 });
    const accepts = ({ tags }: { tags: ReadonlyMap<string, string> }) => tags.get('cluster') !== 'red';
    const blue = network.add('blue', { tags: new Map([['cluster', 'blue']]), accepts });
    const red = network.add('red', { tags: new Map([['cluster', 'red']]) });
    const versions = { protocolMin: 6, protocolMax: 9, protocol: 7, delegateMin: 2, delegateMax: 5, delegate: 5 };
    const newer = network.add('newer', { versions });
    for (const other of [red, newer]) {
      const merge = () => blue.running.mergePushPull(other.running.pushPullState(true), 0);
      expect(merge).toThrow(PushPullRefusedError);
    }
    expect(blue.aliveNames).toEqual(['blue']);
  });
});

it('changed tags spread to all members', () => {
  const { network, hosts } = group(6);
  hosts[0].running.setTags(new Map([['role', 'replica']]), network.now);
  network.settle(hosts[0]);
  network.run(network.now + 5000);
  const roles = hosts.map((host) =>
    host.running
      .members()
      .find(({ name }) => name === 'n0')
      ?.tags.get('role'),
  );
  expect(roles).toEqual(Array(6).fill('replica'));
  expect(() => hosts[0].running.setTags(new Map([['role', 'x'.repeat(600)]]), network.now)).toThrow(RangeError);
});

it('a member that can be reached only over streams stays alive', () => {
  const network = new SimulatedNetwork({ seed: 1, losesPacketsTo: (host) => host.name === 'n2' });
  network.addGroup(4);
  network.run(5 * minute);
  const [host] = network.hosts;
  expect(host?.sightings.filter(({ event }) => event === 'failed')).toEqual([]);
});

it('coordinates of all members are known', () => {
  const { network, hosts } = group(4);
  network.run(network.now + 5 * minute);
  const [host] = hosts;
  expect(hosts.every(({ name }) => host.running.coordinateOf(name) !== undefined)).toBe(true);
  expect(host.running.coordinateOf('stranger')).toBeUndefined();
});

it('no packet exceeds its budget, including the encryption overhead', () => {
  const network = new SimulatedNetwork({ seed: 1 });
  const host = network.add('host', { packetOverheadBytes: 29 });
  network.run(1000);
  const other = network.add('other');
  network.join(host, other);
  network.run(network.now + 1000);
  for (let event = 0; event < 200; event += 1)
    host.running.userEvent(`event ${event}`, new Uint8Array(event), false, network.now);
  let packets = 0;
  for (let step = 1; step < 50; step += 1) {
    host.running.tick(network.now + step * 200);
    for (const output of host.running.takeOutputs()) {
      if (output.type !== 'packet') continue;
      packets += 1;
      const bytes = output.parts.reduce((sum, part) => sum + part.length + 2, 2);
      expect(bytes + 29).toBeLessThanOrEqual(1400);
    }
  }
  expect(packets).toBeGreaterThan(20);
});
