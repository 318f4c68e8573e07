import { describe, expect, it } from '@jest/globals';
import { suspicionMinMs } from '../../src/domain/gossip/timing.js';
import { seeds } from './random.js';
import { SimulatedNetwork, type Host } from './simulated-network.js';

const groupSize = 100;
const minute = 60_000;

/** Creates a group whose members all know each other. */
function settledGroup(seed: number, lostPercent: number): SimulatedNetwork {
  const network = new SimulatedNetwork({ seed, lostPercent });
  network.addGroup(groupSize);
  const isSettled = () => network.hosts.every((host) => host.running.members().length === groupSize);
  if (!network.runUntil(isSettled, 2 * minute)) throw new Error('the group did not settle within two minutes');
  network.run(network.now + 10_000);
  return network;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

describe('a network of 100 nodes with 5% packet loss', () => {
  it.each(seeds([1, 2]))('spreads a join to all members within 10 gossip rounds: MEMBERSHIP_SEED=%i', (seed) => {
    const network = settledGroup(seed, 5);
    const rounds: number[] = [];
    for (let number = 0; number < 9; number += 1) {
      const others = [...network.hosts];
      const since = network.now;
      const joining = network.add(`joining${number}`);
      network.join(joining, others[Math.floor(network.random() * groupSize)]);
      const isKnown = (host: Host) => host.firstSight('join', joining.name, since) !== undefined;
      expect(network.runUntil(() => others.every(isKnown), since + minute)).toBe(true);
      const last = Math.max(...others.map((host) => host.firstSight('join', joining.name, since) ?? Infinity));
      rounds.push((last - since) / network.timing.gossipIntervalMs);
      network.run(network.now + 3000);
    }
    expect(median(rounds)).toBeLessThanOrEqual(10);
  });

  it.each(seeds([3]))('detects a crash within the bounds of the suspicion timeout: MEMBERSHIP_SEED=%i', (seed) => {
    const network = settledGroup(seed, 5);
    const crashed = network.hosts[7];
    const others = network.hosts.filter((host) => host !== crashed);
    const since = network.now;
    network.crash(crashed);
    const sight = (host: Host) => host.firstSight('failed', crashed.name, since) ?? Infinity;
    expect(network.runUntil(() => others.every((host) => sight(host) < Infinity), since + 2 * minute)).toBe(true);
    const minMs = suspicionMinMs(network.timing, groupSize);
    const maxMs = minMs * network.timing.suspicionMaxTimeoutMult;
    const times = others.map((host) => sight(host) - since);
    expect(Math.min(...times)).toBeGreaterThanOrEqual(minMs);
    // A member probes it within a few periods, and many confirm the suspicion at once.
    expect(Math.max(...times)).toBeLessThan(maxMs);
    expect(others.every((host) => host.statusOf(crashed.name) === 'failed')).toBe(true);
  });

  it.each(seeds([5]))('reports no member as failed in an hour: MEMBERSHIP_SEED=%i', (seed) => {
    const network = settledGroup(seed, 5);
    network.run(network.now + 60 * minute);
    const departures = network.hosts.flatMap(({ name, sightings }) =>
      sightings.filter(({ event }) => event === 'failed' || event === 'leave').map((each) => ({ name, ...each })),
    );
    expect(departures).toEqual([]);
    expect(network.hosts.every((host) => host.aliveNames.length === groupSize)).toBe(true);
  });

  it.each(seeds([6]))('heals after a partition into 30 and 70: MEMBERSHIP_SEED=%i', (seed) => {
    const network = settledGroup(seed, 5);
    const sideOf = (host: Host) => (network.hosts.indexOf(host) < 30 ? 0 : 1);
    const sizes = [30, 70];
    network.cut(sideOf);
    const isApart = () => network.hosts.every((host) => host.aliveNames.length === sizes[sideOf(host)]);
    expect(network.runUntil(isApart, network.now + 5 * minute, 1000)).toBe(true);
    network.run(network.now + 2 * minute);
    network.cut(undefined);
    const isWhole = () => network.hosts.every((host) => host.aliveNames.length === groupSize);
    expect(network.runUntil(isWhole, network.now + 10 * minute, 1000)).toBe(true);
  });
});
