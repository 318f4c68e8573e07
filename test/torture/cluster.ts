import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../cluster/deadline.js';
import { addressOf, Network } from '../cluster/network-namespaces.js';
import type { Certificates } from './certificates.js';
import { golog, runWhatever } from './commands.js';
import { Disk } from './disk.js';
import { FaultySystem } from './faulty-system.js';
import { type Endpoint, type HttpCaller, httpPort } from './http-caller.js';
import { type Launch, type NodeListener, TortureNode } from './node.js';
import type { Random } from './random.js';

const callTimeoutMs = 2_000;
const lookAgainMs = 100;
const gossipPort = 8401;
/** A leader that is silent is replaced after half a second to a second. */
const tickMs = 50;
/** A member that lags by so many entries under load is in step. */
const lagMax = 200;
const clusterService = '/golog.v1.ClusterService';

/** Hosts besides those of the members: for each node another address, and for a node that joins, and for a copy. */
export const hostsFor = (size: number): number => 2 * size + 2;

export interface ClusterOptions {
  readonly folder: string;
  readonly size: number;
  /** Records older than this may be dropped. */
  readonly retentionMinutes: number;
  /** Nodes run with the default timeouts, and faults of one node are those of the leader. */
  readonly measured: boolean;
  /** The library of faulty systems; undefined without a compiler. */
  readonly library: string | undefined;
  readonly certificates: Certificates | undefined;
}

interface Member {
  readonly name: string;
  readonly role: string;
  readonly state: string;
  readonly lagEntries?: string;
}

interface View {
  readonly answeredBy: string;
  readonly leader?: string;
  readonly term?: string;
  readonly members: readonly Member[];
  readonly problem?: string;
}

interface Page {
  readonly batches?: readonly { readonly baseOffset?: string; readonly records?: readonly unknown[] }[];
  readonly highWatermark?: string;
}

/** What `golog verify --json --compare` prints, as far as it is read here. */
interface Comparison {
  readonly differences: readonly unknown[];
  readonly directories: readonly { readonly problems: readonly unknown[] }[];
}

/** The nodes of one cluster, each in a network namespace and with a disk of its own. */
export class Cluster {
  readonly network: Network;
  readonly nodes: TortureNode[] = [];
  /** All that were made and not discarded, members or not. */
  readonly #made = new Set<TortureNode>();
  #nodesMade = 0;
  /** Nodes with damage in their logs, and the offset from where on: it is found, and repaired, by reading. */
  readonly rotten = new Map<TortureNode, number>();
  /** Hosts that nobody uses, the one that has been free for longest first. */
  readonly #freeHosts: number[];

  constructor(
    private readonly options: ClusterOptions,
    private readonly caller: HttpCaller,
    private readonly listener: NodeListener,
  ) {
    this.network = new Network(hostsFor(options.size));
    this.#freeHosts = Array.from({ length: this.network.hosts }, (_, i) => i + 1);
  }

  get size(): number {
    return this.options.size;
  }

  get endpoints(): readonly Endpoint[] {
    return this.nodes.map(({ endpoint }) => endpoint);
  }

  async form(): Promise<void> {
    while (this.nodes.length < this.size) this.nodes.push(await this.makeNode());
    for (const node of this.nodes) node.start();
  }

  /**
   * A node with an empty disk at an unused host, which is not a member.
   *
   * @param name what it is called in the report; by default the next of `n1`, `n2` and so on
   * @param nodeName what it is started as
   */
  async makeNode(name?: string, nodeName?: string): Promise<TortureNode> {
    this.#nodesMade += 1;
    const { folder, library } = this.options;
    const label = name ?? `n${this.nodes.length + 1}`;
    const disk = new Disk(folder, `disk-${this.#nodesMade}`);
    await disk.make();
    const faults = join(folder, `faults-${this.#nodesMade}`);
    const system = library === undefined ? undefined : new FaultySystem(library, faults);
    const launch = (of: TortureNode): Launch => this.#launch(of, nodeName ?? label);
    const node = new TortureNode(label, disk, system, join(folder, `${label}.log`), launch, this.listener);
    node.host = this.takeHost();
    this.#made.add(node);
    return node;
  }

  /** Ends a node that is not a member. */
  async discard(node: TortureNode): Promise<void> {
    this.#made.delete(node);
    await node.dispose();
    await node.disk.dispose();
    this.releaseHost(node.host);
  }

  /** Throws `RangeError` if every host is in use. */
  takeHost(): number {
    const host = this.#freeHosts.shift();
    if (host === undefined) throw new RangeError('every host is in use');
    return host;
  }

  releaseHost(host: number): void {
    this.#freeHosts.push(host);
  }

  /** Nodes that no fault has for itself, for the fault to claim: in random order, the leader first if it is asked for. */
  async claim(random: Random, count: number, asked: 'any' | 'leader' | 'follower' = 'any'): Promise<TortureNode[]> {
    const which = asked === 'any' && count === 1 && this.options.measured ? 'leader' : asked;
    const leader = which === 'any' ? undefined : await this.leader();
    const free = random.shuffled(this.nodes.filter(({ isClaimed, isRunning }) => !isClaimed && isRunning));
    const chosen = free
      .filter((node) => which !== 'follower' || node !== leader)
      .sort((a, b) => Number(b === leader) - Number(a === leader))
      .slice(0, count);
    if (which === 'leader' && chosen[0] !== leader) return [];
    for (const node of chosen) node.isClaimed = true;
    return chosen;
  }

  release(nodes: readonly TortureNode[]): void {
    for (const node of nodes) node.isClaimed = false;
  }

  /** The node that leads by its own word, in the latest term that any node tells. */
  async leader(): Promise<TortureNode | undefined> {
    const views = await Promise.all(this.nodes.map((node) => this.#view(node)));
    const term = Math.max(0, ...views.map((view) => Number(view?.term ?? 0)));
    const name = views.find((view) => view?.leader === view?.answeredBy && Number(view?.term) === term)?.leader;
    return this.nodes.find((node) => node.name === name);
  }

  /** Why the cluster is not whole: not all nodes are ready members that vote and have the log. */
  async lacks(): Promise<string | undefined> {
    const states = await Promise.all(this.nodes.map((node) => this.#stateOf(node)));
    const unready = states.find((state) => state !== undefined);
    if (unready !== undefined) return unready;
    const leader = await this.leader();
    const view = leader && (await this.#view(leader));
    if (view === undefined) return 'there is no leader';
    const names = view.members.map(({ name }) => name).sort();
    const wanted = this.nodes.map(({ name }) => name).sort();
    if (names.join() !== wanted.join()) return `the members are ${names.join()}, not ${wanted.join()}`;
    const behind = view.members.find((member) => !isInStep(member));
    return behind === undefined
      ? view.problem
      : `${behind.name} is ${behind.role}, ${behind.state}, ${behind.lagEntries} behind`;
  }

  /** Resolves with true when the node is ready, and with false when that takes too long, or `isHopeless`. */
  async readyAgain(node: TortureNode, timeoutMs: number, isHopeless = (): boolean => false): Promise<boolean> {
    const endMs = performance.now() + timeoutMs;
    while (performance.now() < endMs && !isHopeless()) {
      if ((await this.#stateOf(node)) === undefined) return true;
      await delay(lookAgainMs);
    }
    return false;
  }

  /** Resolves when the cluster is whole, with the milliseconds that this took. */
  async whole(timeoutMs: number): Promise<number> {
    const startMs = performance.now();
    let lack: string | undefined;
    const isWhole = async (): Promise<true | undefined> => {
      lack = await this.lacks();
      return lack === undefined ? true : undefined;
    };
    await eventually(() => `the cluster to be whole: ${lack}`, isWhole, timeoutMs);
    return performance.now() - startMs;
  }

  /**
   * Reads on from the damage of a node until the node has repaired it. Resolves with false where the damage is there
   * after so long.
   */
  async readRotten(node: TortureNode, timeoutMs: number): Promise<boolean> {
    let offset = this.rotten.get(node) ?? 0;
    for (const endMs = performance.now() + timeoutMs; performance.now() < endMs;) {
      const page = await this.#read(node, offset).catch(() => undefined);
      if (page === undefined) await delay(lookAgainMs);
      else if (page.end >= page.highWatermark) return this.rotten.delete(node);
      else offset = page.end;
    }
    return false;
  }

  /** Asks for a change of the cluster until it is made. */
  async change(
    method: string,
    body: object,
    isMade: (members: readonly string[]) => boolean,
    timeoutMs: number,
  ): Promise<void> {
    let last: unknown;
    const ask = async (): Promise<true | undefined> => {
      const leader = await this.leader();
      const view = leader && (await this.#view(leader));
      if (leader === undefined || view === undefined) return undefined;
      if (isMade(view.members.map(({ name }) => name))) return true;
      await this.caller
        .post(leader.endpoint, `${clusterService}/${method}`, body, callTimeoutMs)
        .catch((error: unknown) => (last = error));
      return undefined;
    };
    await eventually(() => `${method} ${JSON.stringify(body)}: ${String(last)}`, ask, timeoutMs);
  }

  /** Stops all nodes, and returns how their stores differ: `golog verify` compares them byte for byte. */
  async compareStores(): Promise<string[]> {
    await Promise.all(this.nodes.map((node) => node.stop()));
    const [first, ...others] = this.nodes.map(({ disk }) => disk.dataDir);
    const output = await runWhatever(...golog, 'verify', first, '--json', '--compare', ...others);
    const { differences, directories } = JSON.parse(output) as Comparison;
    return [...differences, ...directories.flatMap(({ problems }) => problems)].map((each) => JSON.stringify(each));
  }

  /** Ends all; of the disks, the data directories are kept if asked for. */
  async dispose(keep: boolean): Promise<void> {
    const nodes = [...this.#made];
    await Promise.all(nodes.map((node) => node.dispose()));
    const kept = join(this.options.folder, 'data');
    if (keep) mkdirSync(kept, { recursive: true });
    for (const { name, disk } of nodes) await disk.dispose(keep ? join(kept, name) : undefined);
    this.network.remove();
  }

  async #stateOf({ name, endpoint }: TortureNode): Promise<string | undefined> {
    const readiness = await this.caller.readiness(endpoint, callTimeoutMs).catch((error: unknown) => ({
      status: error instanceof Error ? error.message : String(error),
      problem: undefined,
    }));
    if (readiness.status === 'ready') return undefined;
    return `${name} is ${String(readiness.status)}: ${String(readiness.problem)}`;
  }

  async #view({ endpoint }: TortureNode): Promise<View | undefined> {
    const path = `${clusterService}/GetCluster`;
    const answer = await this.caller.post(endpoint, path, { local: true }, callTimeoutMs).catch(() => undefined);
    return answer?.['cluster'] as View | undefined;
  }

  async #read({ endpoint }: TortureNode, offset: number): Promise<{ end: number; highWatermark: number }> {
    const path = '/golog.v1.LogService/Read';
    const answer = await this.caller.post(endpoint, path, { offset: String(offset) }, callTimeoutMs);
    const { batches = [], highWatermark } = answer as Page;
    const { baseOffset, records = [] } = batches.at(-1) ?? { baseOffset: String(offset) };
    return { end: Number(baseOffset ?? 0) + records.length, highWatermark: Number(highWatermark ?? 0) };
  }

  #launch(node: TortureNode, name: string): Launch {
    const { size, retentionMinutes, certificates, measured } = this.options;
    const host = addressOf(node.host);
    const joins = this.nodes.map((each) => `${addressOf(each.host)}:${gossipPort}`).join();
    const args = [
      ...['--node-name', name, '--data-dir', node.disk.dataDir],
      ...['--bind-addr', `${host}:${gossipPort}`, '--http-addr', host, '--http-port', String(httpPort)],
      // With the flags of its first start, whatever has happened to its disk since.
      ...['--bootstrap-expect', String(size), '--start-join-addrs', joins],
      ...(measured ? [] : ['--tick-interval', `${tickMs}ms`]),
      ...['--segment-bytes', '128KiB', '--disk-reserve-bytes', '16MiB'],
      ...['--retention-age', `${retentionMinutes}m`],
      ...(certificates?.nodeFlags(name) ?? ['--insecure']),
    ];
    return { through: this.network.through(node.host), args };
  }
}

function isInStep({ role, state, lagEntries }: Member): boolean {
  const isVoter = role === 'MEMBER_ROLE_LEADER' || role === 'MEMBER_ROLE_VOTER';
  const isHeard = state === 'MEMBER_STATE_SELF' || state === 'MEMBER_STATE_REPLICATING';
  return isVoter && isHeard && Number(lagEntries ?? 0) <= lagMax;
}
