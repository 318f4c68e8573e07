import { describe, expect, it } from '@jest/globals';
import { Consistency } from '../../src/gen/golog/v1/log_service_pb.js';
import { tell } from './deadline.js';
import { clusterTests } from './fixture.js';
import type { LiveNode } from './live-cluster.js';
import { addressOf, Network, noNamespacesBecause } from './network-namespaces.js';
import { Reader } from './reader.js';
import { expectAllKept } from './verdict.js';

const hosts = [1, 2, 3];
const run = clusterTests(hosts.map(addressOf));
const reason = noNamespacesBecause();
if (reason !== undefined) tell(`the partitions are skipped: ${reason}`);

const hostOf = ({ name }: LiveNode): number => Number(name.slice(1));

interface Partition {
  readonly what: string;
  readonly begin: (network: Network, leader: number, others: readonly number[]) => void;
  readonly heal: (network: Network, leader: number, others: readonly number[]) => void;
  /** Whether this process still reaches the leader, and can hold it to what it says. */
  readonly isLeaderReachable: boolean;
}

const partitions: Partition[] = [
  {
    what: 'the leader’s cable is pulled',
    begin: (network, leader) => network.unplug(leader),
    heal: (network, leader) => network.plug(leader),
    isLeaderReachable: false,
  },
  {
    what: 'leader and followers do not hear each other',
    begin: (network, leader, others) => {
      for (const other of others) {
        network.cut(leader, other);
        network.cut(other, leader);
      }
    },
    heal: (network, leader, others) => {
      for (const other of others) {
        network.mend(leader, other);
        network.mend(other, leader);
      }
    },
    isLeaderReachable: true,
  },
  {
    what: 'the followers do not hear the leader',
    begin: (network, leader, others) => others.forEach((other) => network.cut(leader, other)),
    heal: (network, leader, others) => others.forEach((other) => network.mend(leader, other)),
    isLeaderReachable: true,
  },
  {
    what: 'the leader does not hear the followers',
    begin: (network, leader, others) => others.forEach((other) => network.cut(other, leader)),
    heal: (network, leader, others) => others.forEach((other) => network.mend(other, leader)),
    isLeaderReachable: true,
  },
];

const title =
  reason === undefined ? 'partitions in network namespaces' : `partitions in network namespaces (not here: ${reason})`;

(reason === undefined ? describe : describe.skip)(title, () => {
  it(
    'heal without divergence and without a lost acknowledgement',
    run('partition', async (own) => {
      const network = new Network(hosts.length);
      own.atEnd(() => network.remove());
      const nodes = await own.clusterIn(network);
      const load = own.load(nodes);
      await load.more();
      for (const { what, begin, heal, isLeaderReachable } of partitions) {
        const leader = await nodes.leader();
        const others = nodes.nodes.filter((node) => node !== leader).map(hostOf);
        const reader = new Reader(leader.address, load, Consistency.LINEARIZABLE, own.tls('consumer'));
        await reader.read();
        load.longestGapMs = 0;
        begin(network, hostOf(leader), others);
        const newLeader = await nodes.leader(leader);
        const acknowledgedEnd = load.acknowledgedEnd;
        await load.more(300);
        const gapMs = Math.round(load.longestGapMs);
        if (isLeaderReachable) await Promise.all(Array.from({ length: 20 }, () => reader.read()));
        expect(load.acknowledgedEnd).toBeGreaterThan(acknowledgedEnd);
        const healedAtMs = performance.now();
        heal(network, hostOf(leader), others);
        await nodes.replicating(3);
        const healMs = Math.round(performance.now() - healedAtMs);
        await load.more();
        expect(reader.stale).toEqual([]);
        reader.close();
        tell(
          `${what}: ${newLeader.name} led instead of ${leader.name}, longest gap ${gapMs} ms, ` +
            `all three in step ${healMs} ms after healing; reads at ${leader.name}: ${reader.describe()}`,
        );
      }
      await expectAllKept(nodes, load);
      tell(load.describe());
    }),
    240_000,
  );
});
