import { describe, expect, it } from '@jest/globals';
import { hasLogged, loggedLines } from '../logging/logged-lines.js';
import { eventually, tell } from './deadline.js';
import { copyOf, everything, putBack, rollBack } from './directory-copies.js';
import { clusterTests } from './fixture.js';
import type { LiveCluster, LiveNode } from './live-cluster.js';
import { Appender } from './load.js';
import { addressOf, Network, noNamespacesBecause } from './network-namespaces.js';
import { expectAllKept } from './verdict.js';

const hosts = [1, 2, 3];
const run = clusterTests(hosts.map(addressOf));
const reason = noNamespacesBecause();
if (reason !== undefined) tell(`T1 is skipped: ${reason}`);
const title = reason === undefined ? '' : ` (not here: ${reason})`;

const cutOff = (network: Network, what: 'cut' | 'mend'): void => {
  for (const other of [2, 3]) {
    network[what](1, other);
    network[what](other, 1);
  }
};

/** The first node begins alone and is copied before the others join it. */
const begunAlone =
  (onAlone: (first: LiveNode) => void) =>
  async (cluster: LiveCluster): Promise<void> => {
    const [first, ...others] = cluster.nodes;
    await first.start(['--bootstrap']);
    await cluster.leader();
    onAlone(first);
    await Promise.all(others.map((node) => node.start(cluster.joining)));
    await cluster.voters(cluster.nodes.map(({ name }) => name));
  };

/** Puts back what the first node had while it was the only member. */
const restored: [string, (node: LiveNode, path: string) => void][] = [
  ['its raft/snapshot', (node, path) => putBack(node, { path, parts: ['raft/snapshot'] })],
  ['its directory, from a backup', (node, path) => putBack(node, { path, parts: everything })],
  ['its directory, by a snapshot of the disk', rollBack],
];

(reason === undefined ? describe : describe.skip)(
  `T1: a member put back to its first minute and cut off${title}`,
  () => {
    it.each(restored)(
      'leads no cluster of its own, and is a member again once it reaches the others: %s',
      async (what, restore) =>
        run(`first-minute ${what.replaceAll('/', '-')}`, async (own) => {
          const network = new Network(hosts.length);
          own.atEnd(() => network.remove());
          const path = own.file('first-minute');
          const nodes = await own.clusterIn(
            network,
            begunAlone((first) => copyOf(first, path)),
          );
          const [n1] = nodes.nodes;
          const load = own.load(nodes);
          await load.more(300);
          await n1.stop();
          restore(n1, path);
          cutOff(network, 'cut');
          await n1.start(nodes.joining);
          const problem = await eventually('a problem of n1', async () => (await n1.view())?.problem);
          tell(`${what}: ${problem}`);

          // Both sides are written.
          const appender = new Appender(n1.address, own.tls('appender'));
          for (let i = 0; i < 5; i += 1)
            expect((await load.append(appender, `alone ${i}`, 2_000)).kind).not.toBe('acknowledged');
          appender.close();
          await load.more(300);
          expect(loggedLines(n1.process!.stderr, 'leader_elected')).toEqual([]);

          cutOff(network, 'mend');
          await nodes.voters(['n1', 'n2', 'n3']);
          await nodes.replicating(3);
          expect(hasLogged(n1.output, 'fatal_error')).toBe(false);
          await expectAllKept(nodes, load);
          tell(load.describe());
        })(),
      240_000,
    );
  },
);
