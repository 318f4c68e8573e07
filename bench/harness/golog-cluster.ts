import type { Bench, Golog } from './bench.js';
import { isInStep, untilCluster } from './cluster-status.js';

export interface ClusterNode extends Golog {
  readonly name: string;
}

/** Separate processes on one machine that keep one log. */
export class GologCluster {
  private constructor(
    private readonly bench: Bench,
    private readonly nodes: ClusterNode[],
    private readonly args: readonly string[],
  ) {}

  /** Resolves when all nodes vote; `args` are further ones of `golog serve`. */
  static async start(bench: Bench, count = 3, args: readonly string[] = []): Promise<GologCluster> {
    const first = { ...(await bench.startGolog(undefined, ['--node-name', 'n1', '--bootstrap', ...args])), name: 'n1' };
    const cluster = new GologCluster(bench, [first], args);
    const names = Array.from({ length: count - 1 }, (_, place) => `n${place + 2}`);
    cluster.nodes.push(...(await Promise.all(names.map((name) => startFollower(bench, name, first, args)))));
    await cluster.settled();
    return cluster;
  }

  get pids(): readonly number[] {
    return this.nodes.map(({ pid }) => pid);
  }

  get addresses(): readonly string[] {
    return this.nodes.map(({ rpcAddr }) => rpcAddr);
  }

  /** Resolves with the leader when all are in step. */
  async settled(): Promise<ClusterNode> {
    const { leader } = await untilCluster(this.nodes[0].rpcAddr, 'in step', isInStep(this.nodes.length));
    const node = this.nodes.find(({ name }) => name === leader);
    if (node === undefined) throw new Error(`no node is called ${leader}`);
    return node;
  }

  /** Some node that does not lead. */
  async follower(): Promise<ClusterNode> {
    const leader = await this.settled();
    const node = this.nodes.find((other) => other !== leader);
    if (node === undefined) throw new Error('the cluster has one node');
    return node;
  }

  /** A process in the place of one that ended, on its data and its ports. */
  async restart(ended: ClusterNode): Promise<ClusterNode> {
    const portOf = (address: string): string => address.slice(address.lastIndexOf(':') + 1);
    const ports = ['--rpc-port', portOf(ended.rpcAddr), '--http-port', portOf(ended.httpAddr)];
    const args = ['--node-name', ended.name, ...ports, ...this.args];
    const node = { ...(await this.bench.startGolog(ended.dataDirectory, args)), name: ended.name };
    this.nodes[this.nodes.indexOf(ended)] = node;
    return node;
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
    for (const { dataDirectory } of this.nodes) await this.bench.remove(dataDirectory);
  }
}

/** Resolves when the node has been admitted to the cluster; it votes a little later. */
export async function startFollower(
  bench: Bench,
  name: string,
  leader: Golog,
  args: readonly string[] = [],
): Promise<ClusterNode> {
  const joining = ['--node-name', name, '--start-join-addrs', leader.gossipAddr];
  return { ...(await bench.startGolog(undefined, [...joining, ...args])), name };
}
