import { renameSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { eventually, tell } from './deadline.js';
import { clusterTests } from './fixture.js';
import type { LiveCluster, LiveNode, NodePlace } from './live-cluster.js';
import { addressOf, Network, noNamespacesBecause } from './network-namespaces.js';
import { isSecured } from './security.js';
import { expectAllKept } from './verdict.js';

const run = clusterTests();
const hosts = [1, 2, 3, 4, 5, 6];
const inNetwork = clusterTests(hosts.map(addressOf));
const reason = noNamespacesBecause();
if (reason !== undefined) tell(`new IP addresses are skipped: ${reason}`);
const title = reason === undefined ? '' : ` (not here: ${reason})`;

/** Starts stopped nodes elsewhere (default: on other ports), with the current gossip addresses of all nodes. */
async function startElsewhere(
  cluster: LiveCluster,
  moving: readonly LiveNode[],
  placeOf?: (node: LiveNode) => NodePlace,
): Promise<void> {
  for (const node of moving) await node.move(placeOf?.(node));
  await Promise.all(moving.map((node) => node.start(cluster.joining)));
}

function swap(one: string, other: string): void {
  renameSync(one, `${one}-away`);
  renameSync(other, one);
  renameSync(`${one}-away`, other);
}

/** Resolves when the configuration that each node knows has the current address of every member. */
async function expectAddressesKnown({ nodes }: LiveCluster): Promise<void> {
  const wanted = nodes.map(({ name, address }) => `${name} at ${address}`).sort();
  let seen: unknown;
  await eventually(
    () => `${wanted.join(', ')}; the last were ${JSON.stringify(seen)}`,
    async () => {
      const views = await Promise.all(nodes.map((node) => node.view()));
      seen = views.map((view) => view?.members.map(({ name, rpcAddr }) => `${name} at ${rpcAddr}`).sort());
      return JSON.stringify(seen) === JSON.stringify(nodes.map(() => wanted)) ? true : undefined;
    },
  );
}

describe('members that come back at other addresses while there is no leader', () => {
  it.each([
    ['all of three, stopped', 3, 'stop'],
    ['all of three, killed', 3, 'killNine'],
    ['two of three, the leader among them, killed', 2, 'killNine'],
    ['two of three, the leader among them, stopped', 2, 'stop'],
  ] as const)(
    '%s: they find each other, elect a leader, and have lost nothing',
    async (what, count, end) =>
      run(`moved ${count} ${end}`, async (own) => {
        const nodes = await own.cluster(3);
        const load = own.load(nodes);
        await load.more();
        const leader = await nodes.leader();
        const moving = [leader, ...(await nodes.followers())].slice(0, count);
        await Promise.all(moving.map((node) => node[end]()));
        const startMs = performance.now();
        await startElsewhere(nodes, moving);
        const servedMs = performance.now();
        await load.more();
        tell(
          `${what}: all serve after ${Math.round(servedMs - startMs)} ms, ` +
            `appends continue ${Math.round(performance.now() - servedMs)} ms after that`,
        );
        await expectAddressesKnown(nodes);
        await nodes.replicating(3);
        await expectAllKept(nodes, load);
        expect(moving).toHaveLength(count);
      })(),
    240_000,
  );
});

(reason === undefined ? describe : describe.skip)(`F4: members that come back with new IP addresses${title}`, () => {
  it.each([
    ['all three', 3],
    ['two of three', 2],
  ])(
    '%s: they find each other, elect a leader, and have lost nothing',
    async (what, count) =>
      inNetwork(`new-ip ${what}`, async (own) => {
        const network = new Network(hosts.length);
        own.atEnd(() => network.remove());
        const nodes = await own.clusterIn(network, undefined, 3);
        const load = own.load(nodes);
        await load.more();
        const moving = [await nodes.leader(), ...(await nodes.followers())].slice(0, count);
        await Promise.all(moving.map((node) => node.killNine()));
        await startElsewhere(nodes, moving, ({ name }) => own.placeIn(network, Number(name.slice(1)) + 3, name));
        await load.more();
        await expectAddressesKnown(nodes);
        await nodes.replicating(3);
        await expectAllKept(nodes, load);
      })(),
    240_000,
  );
});

describe('two stopped members whose data directories are swapped', () => {
  it(
    'run as the members that their directories name; with TLS they refuse to start and name the right machine',
    run('swapped', async (own) => {
      const nodes = await own.cluster(3);
      const load = own.load(nodes);
      await load.more();
      load.pause();
      const [one, two] = nodes.nodes;
      await Promise.all([one.stop(), two.stop()]);
      swap(one.dataDir, two.dataDir);
      if (isSecured) {
        for (const [node, other] of [
          [one, two],
          [two, one],
        ]) {
          await expect(node.start(nodes.joining)).rejects.toThrow();
          expect(node.output).toContain(`is the data directory of the member ${other.name} (UUID `);
          expect(node.output).toContain(`which the cluster last knew at ${other.address}`);
        }
        swap(one.dataDir, two.dataDir);
      }
      await Promise.all([one.start(nodes.joining), two.start(nodes.joining)]);
      load.goOn();
      await load.more();
      await eventually('each member is where its directory is', async () => {
        const view = await (await nodes.leader()).view();
        const at = view?.members.find(({ name }) => name === one.name)?.rpcAddr;
        return at === (isSecured ? one : two).address ? true : undefined;
      });
      await nodes.replicating(3);
      await expectAllKept(nodes, load);
    }),
    240_000,
  );
});
