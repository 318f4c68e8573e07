import { describe, expect, it } from '@jest/globals';
import { decodePushPull, encodePushPull } from '../../src/adapters/serf/wire/push-pull-wire.js';
import { SerfWire } from '../../src/adapters/serf/wire/serf-wire.js';
import { decodeSwim } from '../../src/adapters/serf/wire/swim-wire.js';
import type { PushPull, SwimMessage } from '../../src/domain/gossip/message.js';
import { seeds } from './random.js';
import { SimulatedNetwork, type NetworkWire } from './simulated-network.js';

const minute = 60_000;

class RealWire extends SerfWire implements NetworkWire {
  decodeSwim(bytes: Uint8Array): SwimMessage {
    return decodeSwim(bytes);
  }

  transmit(state: PushPull): PushPull {
    return decodePushPull(encodePushPull(state));
  }
}

describe('a group of eight with the real wire format', () => {
  it.each(seeds([1]))('joins, sends events and queries, leaves, fails and returns: MEMBERSHIP_SEED=%i', (seed) => {
    const network = new SimulatedNetwork({ seed, lostPercent: 5, wire: new RealWire() });
    network.addGroup(8);
    const [asking, leaving, crashed, ...others] = network.hosts;
    if (asking === undefined || leaving === undefined || crashed === undefined) throw new Error('no group');
    const isWhole = () => network.hosts.every((host) => host.aliveNames.length === 8);
    expect(network.runUntil(isWhole, 3 * minute)).toBe(true);
    expect(asking.running.members()[5]?.tags).toEqual(new Map([['role', 'log']]));

    asking.running.userEvent('deploy', new Uint8Array([1, 2]), false, network.now);
    const tag = { type: 'tag', tag: 'role', expression: '^log$' } as const;
    const query = { name: '_serf_ping', payload: new Uint8Array(), wantsAck: true, filters: [tag], relayFactor: 2 };
    // Each member sends a query only four times, so in a small group it occasionally misses a member.
    for (let attempt = 0; attempt < 5; attempt += 1) asking.running.query(query, network.now);
    network.settle(asking);
    leaving.running.leave(network.now);
    network.settle(leaving);
    network.crash(crashed);
    network.run(network.now + 3 * minute);
    const acks = asking.notifications.flatMap((output) => (output.type === 'query-ack' ? [output.from] : []));
    expect(others.map(({ notifications }) => notifications.filter(({ type }) => type === 'user-event').length)).toEqual(
      Array(5).fill(1),
    );
    expect(new Set(acks).size).toBeGreaterThanOrEqual(6);
    expect(others.map((host) => [host.statusOf('n1'), host.statusOf('n2')])).toEqual(Array(5).fill(['left', 'failed']));

    network.start(leaving);
    network.start(crashed);
    for (const host of [leaving, crashed]) network.join(host, asking);
    expect(network.runUntil(isWhole, network.now + 3 * minute)).toBe(true);
    network.run(network.now + minute);
    expect(asking.running.coordinateOf('n5')?.vector).toHaveLength(8);
  });
});
