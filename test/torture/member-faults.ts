import { type BegunFault, claiming, type Fault, lasting, namesOf, type Stage } from './fault.js';
import type { TortureNode } from './node.js';
import type { Random } from './random.js';

const changeTimeoutMs = 60_000;
/** Until a request to join that is on its way has been answered, or is lost. */
const joinMs = 1_000;

function removeMember({ cluster }: Stage, { name }: TortureNode): Promise<void> {
  return cluster.change('RemoveMember', { name }, (members) => !members.includes(name), changeTimeoutMs);
}

const memberAdded: Fault = {
  name: 'member-added',
  summary: 'a node joins, and is removed later',
  needsWhole: true,
  lastsMs: [4_000, 12_000],
  begin: async (stage: Stage): Promise<BegunFault> => {
    const { cluster } = stage;
    const node = await cluster.makeNode();
    node.isClaimed = true;
    cluster.nodes.push(node);
    node.start();
    return {
      what: node.name,
      end: async () => {
        cluster.nodes.splice(cluster.nodes.indexOf(node), 1);
        await node.kill();
        await lasting(joinMs);
        await removeMember(stage, node);
        await cluster.discard(node);
      },
    };
  },
};

function memberReplaced(which: 'leader' | 'follower'): Fault {
  return {
    name: `${which}-removed`,
    summary: `${which === 'leader' ? 'the leader' : 'a follower'} is removed, and joins again, with its disk or an empty one`,
    needsWhole: true,
    begin: (stage, random) =>
      claiming(stage, random, { count: 1, which }, async (nodes) => {
        const [node] = nodes;
        await removeMember(stage, node);
        const isWiped = random.percent(50);
        return {
          how: isWiped ? 'with an empty disk' : 'with its disk',
          end: async () => {
            await node.kill();
            if (isWiped) node.disk.wipe();
            node.start();
          },
        };
      }),
  };
}

const newAddresses: Fault = {
  name: 'new-addresses',
  appendsGoOn: 'after',
  summary: 'a majority of the nodes, or all, come back at other addresses',
  needsWhole: true,
  begin: (stage: Stage, random: Random) => {
    const { cluster } = stage;
    const majority = Math.floor(cluster.size / 2) + 1;
    const count = random.percent(50) ? cluster.nodes.length : majority;
    return claiming(stage, random, { count, which: 'any' }, async (nodes) => {
      await Promise.all(nodes.map((node) => node.kill()));
      for (const node of nodes) {
        const left = node.host;
        node.host = cluster.takeHost();
        cluster.releaseHost(left);
      }
      return { end: async () => nodes.forEach((node) => node.start()) };
    });
  },
};

const withoutTls = ({ certificates }: Stage): string | undefined =>
  certificates === undefined ? 'the cluster is not secured: use --tls' : undefined;

const certificatesRenewed: Fault = {
  name: 'certificates-renewed',
  summary: 'all nodes get new certificates, and SIGHUP',
  lacks: withoutTls,
  begin: async ({ cluster, certificates }) => {
    const { nodes } = cluster;
    await certificates?.renew(nodes.map(({ name }) => name));
    for (const node of nodes) node.signal('SIGHUP');
    return { what: namesOf(nodes), end: async () => undefined };
  },
};

const certificateExpired: Fault = {
  name: 'certificate-expired',
  summary: 'a node is started with an expired certificate, and gets a valid one later',
  mayEndNodes: true,
  lacks: (stage) => withoutTls(stage) ?? (stage.certificates?.canExpire === true ? undefined : 'no gcc'),
  begin: (stage, random) =>
    claiming(stage, random, { count: 1, which: 'any' }, async ([node]) => {
      await stage.certificates?.expire([node.name]);
      await node.kill();
      node.start();
      return {
        end: async () => {
          await stage.certificates?.renew([node.name]);
          await node.kill();
          node.start();
        },
      };
    }),
};

/** Faults of who the members are, where, and with which certificates. */
export const memberFaults: readonly Fault[] = [
  memberAdded,
  memberReplaced('follower'),
  memberReplaced('leader'),
  newAddresses,
  certificatesRenewed,
  certificateExpired,
];
