import { describe, expect, it } from '@jest/globals';
import type { SerfMessage } from '../../src/domain/gossip/message.js';
import type { Output } from '../../src/domain/gossip/output.js';
import { PushPullRefusedError } from '../../src/domain/gossip/push-pull.js';
import { GossipTooLargeError } from '../../src/domain/gossip/serf-errors.js';
import { SimulatedNetwork, type Host } from './simulated-network.js';

const text = (words: string) => new TextEncoder().encode(words);
const minute = 60_000;

/** Members that know each other, on a network that loses nothing. */
function group(count: number, seed = 1): { network: SimulatedNetwork; hosts: readonly [Host, Host, ...Host[]] } {
  const network = new SimulatedNetwork({ seed });
  network.addGroup(count);
  network.run(10_000);
  const [first, second, ...rest] = network.hosts;
  if (first === undefined || second === undefined) throw new Error('a group has two members at least');
  return { network, hosts: [first, second, ...rest] };
}

/** `host` hears a message of Serf, as if gossiped by `from`. */
function hear(network: SimulatedNetwork, host: Host, from: Host, message: SerfMessage): void {
  const payload = network.wire.encodeSerf(message);
  host.running.receive({ type: 'user', payload }, from.address, network.now);
  network.settle(host);
}

function toldOf<T extends Output['type']>(host: Host, type: T): Extract<Output, { type: T }>[] {
  return host.told.filter((output): output is Extract<Output, { type: T }> => output.type === type);
}

describe('leaving', () => {
  it('is told, so that the others know it from a failure', () => {
    const { network, hosts } = group(5);
    const [leaving, ...others] = hosts;
    const since = network.now;
    leaving.running.leave(network.now);
    network.settle(leaving);
    expect(leaving.statusOf('n0')).toBe('leaving');
    network.run(since + 12_000);
    expect(toldOf(leaving, 'left')).toHaveLength(1);
    expect(leaving.running.nextTickAt).toBe(Infinity);
    expect(others.map((host) => host.statusOf('n0'))).toEqual(['left', 'left', 'left', 'left']);
    expect(others.flatMap((host) => host.sightings.filter(({ event }) => event === 'failed'))).toEqual([]);
  });

  it('ends at once where there is nobody to tell', () => {
    const network = new SimulatedNetwork({ seed: 1 });
    const host = network.add('alone');
    host.running.leave(network.now);
    network.settle(host);
    network.run(network.now);
    expect(toldOf(host, 'left')).toHaveLength(1);
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

  it('told of a stranger does not cling to it when it comes', () => {
    const { network, hosts } = group(3);
    const [host, other] = hosts;
    // A returning member joins by the clock of whom it asks, which need not know of a time that others heard of.
    const told = network.wire.encodePushPull({
      lTime: 42,
      statusLTimes: new Map([['back', 40]]),
      leftMembers: ['back'],
      eventLTime: 1,
      events: [],
      queryLTime: 1,
    });
    host.running.mergePushPull({ ...other.running.pushPullState(false), userState: told }, network.now);
    const back = network.add('back');
    network.join(back, other);
    network.run(network.now + 5000);
    expect(host.statusOf('back')).toBe('alive');
  });

  it('is refuted by whoever hears no more of it than its time', () => {
    const { network, hosts } = group(3);
    const [back, other, host] = hosts;
    // Agents of serf make a leave later with each push/pull, so that it outlives the intent of the return.
    const told = network.wire.encodePushPull({
      lTime: 42,
      statusLTimes: new Map([['n0', 40]]),
      leftMembers: ['n0'],
      eventLTime: 1,
      events: [],
      queryLTime: 1,
    });
    host.running.mergePushPull({ ...other.running.pushPullState(false), userState: told }, network.now);
    network.settle(host);
    expect(host.statusOf('n0')).toBe('leaving');
    back.running.mergePushPull(host.running.pushPullState(false), network.now);
    network.settle(back);
    network.run(network.now + 5000);
    expect(host.statusOf('n0')).toBe('alive');
  });

  it('is news to who heard of its time before, from one that took the member for leaving', () => {
    const { network, hosts } = group(3);
    const [leaving, other, host] = hosts;
    hear(network, other, leaving, { type: 'leave', lTime: 40, node: 'n0', prune: false });
    expect(other.statusOf('n0')).toBe('leaving');
    host.running.mergePushPull(other.running.pushPullState(false), network.now);
    expect(host.statusOf('n0')).toBe('alive');
    hear(network, host, leaving, { type: 'leave', lTime: 40, node: 'n0', prune: false });
    expect(host.statusOf('n0')).toBe('leaving');
  });

  it('is known of who was taken for failed, from one that knows', () => {
    const { network, hosts } = group(3);
    const [leaving, other, host] = hosts;
    const dead = { type: 'dead', incarnation: 1, node: 'n0', from: 'n0' } as const;
    hear(network, other, leaving, { type: 'leave', lTime: 40, node: 'n0', prune: false });
    host.running.mergePushPull(other.running.pushPullState(false), network.now);
    network.crash(leaving);
    for (const each of [other, host]) each.running.receive(dead, leaving.address, network.now);
    expect([other, host].map((each) => each.statusOf('n0'))).toEqual(['left', 'failed']);
    host.running.mergePushPull(other.running.pushPullState(false), network.now);
    expect(host.statusOf('n0')).toBe('left');
  });

  it('is refuted by whoever does not leave', () => {
    const { network, hosts } = group(4);
    const [accused, other] = hosts;
    hear(network, other, accused, { type: 'leave', lTime: 50, node: 'n0', prune: false });
    expect(other.statusOf('n0')).toBe('leaving');
    network.run(network.now + 5000);
    expect(hosts.map((host) => host.statusOf('n0'))).toEqual(['alive', 'alive', 'alive', 'alive']);
  });
});

describe('an intent', () => {
  it('that comes before the news of its member is kept', () => {
    const { network, hosts } = group(2);
    const [host, other] = hosts;
    hear(network, host, other, { type: 'leave', lTime: 50, node: 'late', prune: false });
    const late = network.add('late');
    network.join(late, host);
    network.runUntil(() => host.statusOf('late') !== undefined, network.now + 1000, 1);
    expect(host.statusOf('late')).toBe('leaving');
    // The member itself says that it joins.
    network.run(network.now + 5000);
    expect(host.statusOf('late')).toBe('alive');
  });

  it('is passed on once, and older ones never', () => {
    const { network, hosts } = group(3);
    const [host, other] = hosts;
    hear(network, host, other, { type: 'join', lTime: 50, node: 'n2' });
    hear(network, host, other, { type: 'leave', lTime: 50, node: 'n2', prune: false });
    hear(network, host, other, { type: 'leave', lTime: 49, node: 'n2', prune: false });
    expect(host.statusOf('n2')).toBe('alive');
  });
});

describe('a failed member', () => {
  it('is sought until it returns', () => {
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

  it('returns at another address, after it was found out and before', () => {
    const { network, hosts } = group(5);
    const others = hosts.slice(1);
    const joinElsewhere = (): Host => {
      const elsewhere = network.add('n0');
      network.join(elsewhere, hosts[1]);
      return elsewhere;
    };
    const knowsAll = (host: Host, address: unknown): boolean =>
      host.aliveNames.length === 5 && host.running.members()[0]?.address === address;
    const areAsOne = ({ address }: Host) =>
      network.runUntil(() => others.every((host) => knowsAll(host, address)), network.now + minute);

    network.crash(hosts[0]);
    network.runUntil(() => others.every((host) => host.statusOf('n0') === 'failed'), network.now + minute);
    const second = joinElsewhere();
    const since = network.now;
    expect(areAsOne(second)).toBe(true);
    expect(network.now - since).toBeLessThan(5_000);
    network.crash(second);
    expect(areAsOne(joinElsewhere())).toBe(true);
  });

  it('counts as left when that is forced, and is forgotten with prune', () => {
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
  it('reach everybody once, their sender too', () => {
    const { network, hosts } = group(10);
    hosts[3]?.running.userEvent('deploy', text('v1'), false, network.now);
    network.settle(hosts[3] ?? hosts[0]);
    network.run(network.now + minute);
    const names = hosts.map((host) => toldOf(host, 'user-event').map(({ name }) => name));
    expect(names).toEqual(Array(10).fill(['deploy']));
  });

  it('are not told again to who asks to ignore them, nor by a restart that remembers its times', () => {
    const { network, hosts } = group(3);
    const [host, other] = hosts;
    host.running.userEvent('deploy', text('v1'), false, network.now);
    network.settle(host);
    network.run(network.now + 5000);
    const lamportTimes = other.running.lamportTimes;
    network.start(other, { lamportTimes: { ...lamportTimes, event: lamportTimes.event - 1 } });
    other.told.length = 0;
    network.join(other, host);
    network.run(network.now + minute);
    expect(toldOf(other, 'user-event')).toEqual([]);
  });

  it('are limited to 512 bytes', () => {
    const { network, hosts } = group(2);
    const send = () => hosts[0].running.userEvent('big', new Uint8Array(500), false, network.now);
    expect(send).toThrow(GossipTooLargeError);
  });
});

describe('queries', () => {
  it('are acknowledged and answered by each member once, though answers come by several ways', () => {
    const { network, hosts } = group(8);
    const [asking] = hosts;
    const parameters = { name: 'load', payload: text('?'), wantsAck: true, relayFactor: 3 };
    const key = asking.running.query(parameters, network.now);
    network.settle(asking);
    const answered = new Set<Output>();
    for (let step = 0; step < 40; step += 1) {
      network.run(network.now + 100);
      for (const host of hosts) {
        for (const output of toldOf(host, 'query')) {
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
      toldOf(asking, 'query-ack')
        .map(({ from }) => from)
        .toSorted(),
    ).toEqual(names);
    expect(
      toldOf(asking, 'query-response')
        .map(({ from }) => from)
        .toSorted(),
    ).toEqual(names);
    expect(toldOf(asking, 'query-end').map((each) => each.key)).toEqual([key]);
  });

  it('are for those whom the filters name', () => {
    const { network, hosts } = group(4);
    const filters = [
      { type: 'nodes', names: ['n1', 'n2'] },
      { type: 'tag', tag: 'role', expression: '^log$' },
    ] as const;
    hosts[0].running.query({ name: 'load', payload: text(''), filters }, network.now);
    network.settle(hosts[0]);
    network.run(network.now + 5000);
    expect(hosts.map((host) => toldOf(host, 'query').length)).toEqual([0, 1, 1, 0]);
  });

  it('about keys come out to be answered; pings and conflicts do not', () => {
    const { network, hosts } = group(3);
    const [asking, other] = hosts;
    for (const name of ['_serf_ping', '_serf_conflict', '_serf_list-keys']) {
      asking.running.query({ name, payload: text('n2'), wantsAck: true }, network.now);
    }
    network.settle(asking);
    network.run(network.now + 5000);
    expect(toldOf(other, 'query').map(({ query }) => query.name)).toEqual(['_serf_list-keys']);
    expect(toldOf(asking, 'query-ack')).toHaveLength(9);
    const known = toldOf(asking, 'query-response').map(({ from, payload }) => [
      from,
      network.wire.decodeConflictResponse(payload).name,
    ]);
    // The one who is asked about says nothing.
    expect(known.toSorted()).toEqual([
      ['n0', 'n2'],
      ['n1', 'n2'],
    ]);
  });

  it('are not passed on where they ask not to be, and not answered to who is no member', () => {
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
    hear(network, host, other, query);
    hear(network, host, other, { ...query, id: 2, address: { ip: '192.0.2.1', port: 53 } });
    network.run(network.now + 3000);
    expect(hosts.map((each) => toldOf(each, 'query').length)).toEqual([1, 0, 0]);
  });

  it('are limited to 1024 bytes, and so are answers', () => {
    const { network, hosts } = group(2);
    const [host] = hosts;
    const ask = (bytes: number) => host.running.query({ name: 'q', payload: new Uint8Array(bytes) }, network.now);
    expect(() => ask(1000)).toThrow(GossipTooLargeError);
    ask(1);
    network.settle(host);
    const query = toldOf(host, 'query')[0]?.query;
    if (query === undefined) throw new Error('the one who asks is asked too');
    expect(() => host.running.respond(query, new Uint8Array(1000), network.now)).toThrow(GossipTooLargeError);
    // A smaller answer may follow.
    host.running.respond(query, new Uint8Array(10), network.now);
    network.settle(host);
    expect(toldOf(host, 'query-response')).toHaveLength(1);
  });
});

describe('names and groups', () => {
  it('keep the first of two that claim one name', () => {
    const { network, hosts } = group(3);
    const [host] = hosts;
    const impostor = network.add('n1');
    network.join(impostor, host);
    network.run(network.now + 5000);
    expect(host.running.members().find(({ name }) => name === 'n1')?.address).toEqual(hosts[1].address);
    expect(toldOf(host, 'name-conflict')[0]).toMatchObject({ member: { name: 'n1' }, other: impostor.address });
  });

  it('refuse a push/pull from another group, and one of another version, and change nothing', () => {
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

it('tags that change are known everywhere soon', () => {
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

it('a member that others can only reach by streams stays alive', () => {
  const network = new SimulatedNetwork({ seed: 1, losesPacketsTo: (host) => host.name === 'n2' });
  network.addGroup(4);
  network.run(5 * minute);
  const [host] = network.hosts;
  expect(host?.sightings.filter(({ event }) => event === 'failed')).toEqual([]);
});

it('coordinates tell which members are near', () => {
  const { network, hosts } = group(4);
  network.run(network.now + 5 * minute);
  const [host] = hosts;
  expect(hosts.every(({ name }) => host.running.coordinateOf(name) !== undefined)).toBe(true);
  expect(host.running.coordinateOf('stranger')).toBeUndefined();
});

it('no packet exceeds its budget, with what encryption adds', () => {
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
