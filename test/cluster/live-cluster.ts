import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { ClusterClient, type ClusterStatus, type ClientTls, LogClient, type LogInfo } from '../../src/client/index.js';
import type { CompareReport } from '../../src/infrastructure/offline.js';
import { type Launch, runGolog, ServerProcess } from '../end-to-end/golog-process.js';
import { eventually } from './deadline.js';
import { freePorts } from './free-ports.js';

/** So that a leader is replaced after 0.3 to 0.6 s. */
export const tickMs = 30;
/** The longest that a node waits before it campaigns. */
export const electionTimeoutMs = 20 * tickMs;

export interface NodePlace extends Launch {
  readonly name: string;
  readonly dataDir: string;
  /** HOST:PORT of its gRPC. */
  readonly address: string;
  /** HOST:PORT of its gossip. */
  readonly gossipAddr: string;
  /** Flags besides those that every node has. */
  readonly args?: readonly string[];
  /** The TLS of its callers (default: in clear). */
  readonly tls?: ClientTls;
}

/** A node of a cluster over all its processes. */
export class LiveNode {
  readonly name: string;
  readonly dataDir: string;
  #log: LogClient;
  #cluster: ClusterClient;
  readonly #ended: ServerProcess[] = [];
  #process: ServerProcess | undefined;
  #paused = false;

  constructor(private place: NodePlace) {
    ({ name: this.name, dataDir: this.dataDir } = place);
    this.#log = LogClient.connect(place.address, place.tls);
    this.#cluster = new ClusterClient([place.address], place.tls);
  }

  get address(): string {
    return this.place.address;
  }

  get gossipAddr(): string {
    return this.place.gossipAddr;
  }

  get log(): LogClient {
    return this.#log;
  }

  /** HOST:PORT of its HTTP, while it serves. */
  get httpAddr(): string {
    return this.#process?.httpAddr ?? '';
  }

  /** Its process, once it has had one. */
  get process(): ServerProcess | undefined {
    return this.#process;
  }

  /** The id of its process. */
  get pid(): number {
    return this.#process?.child.pid ?? 0;
  }

  /** Whether it has a process that is not stopped by SIGSTOP. */
  get isUp(): boolean {
    if (this.#process === undefined || this.#paused) return false;
    const { exitCode, signalCode } = this.#process.child;
    return exitCode === null && signalCode === null;
  }

  /** What all its processes wrote, for a failure's message. */
  get output(): string {
    return [...this.#ended, this.#process].map((each) => each?.stderr ?? '').join('--- next process\n');
  }

  /** Resolves when it serves; with no flags when it was in the cluster before. */
  async start(joining: readonly string[] = []): Promise<void> {
    if (this.#process) this.#ended.push(this.#process);
    const { name, dataDir, address, gossipAddr, args = [] } = this.place;
    const flags = [
      '--node-name',
      name,
      '--tick-interval',
      `${tickMs}ms`,
      '--bind-addr',
      gossipAddr,
      ...args,
      ...joining,
    ];
    this.#paused = false;
    this.#process = ServerProcess.spawn(dataDir, address.split(':').at(-1)!, flags, this.place);
    await this.#process.served();
  }

  async killNine(): Promise<void> {
    await this.#process?.killNine();
  }

  /** Has its next process be at that place (default: on other ports), with the same data directory. */
  async move(to?: NodePlace): Promise<void> {
    const { address, gossipAddr } = to ?? (await LiveCluster.place('', this.name));
    this.place = { ...this.place, ...to, address, gossipAddr };
    this.#closeClients();
    this.#log = LogClient.connect(address, this.place.tls);
    this.#cluster = new ClusterClient([address], this.place.tls);
  }

  /** Has its next process be of this version (default: that of this checkout). */
  change({ launcher }: Pick<Launch, 'launcher'>): void {
    const { launcher: _, ...place } = this.place;
    this.place = { ...place, ...(launcher !== undefined && { launcher }) };
  }

  hangUp(): void {
    this.#process?.kill('SIGHUP');
  }

  /** Calls the node by this from here on, over new connections. */
  callBy(tls: ClientTls): void {
    this.place = { ...this.place, tls };
    this.#closeClients();
    this.#log = LogClient.connect(this.address, tls);
    this.#cluster = new ClusterClient([this.address], tls);
  }

  /** SIGTERM; resolves with the exit code. */
  async stop(): Promise<number | null> {
    return (await this.#process?.stop()) ?? null;
  }

  pause(): void {
    this.#paused = true;
    this.#process?.kill('SIGSTOP');
  }

  resume(): void {
    this.#paused = false;
    this.#process?.kill('SIGCONT');
  }

  wipe(): void {
    rmSync(this.dataDir, { recursive: true });
  }

  /** The cluster as this node alone sees it; undefined where it does not answer. */
  async view(): Promise<ClusterStatus | undefined> {
    return this.isUp ? this.#cluster.status({ local: true }).catch(() => undefined) : undefined;
  }

  async info(): Promise<LogInfo | undefined> {
    return this.isUp ? this.log.info().catch(() => undefined) : undefined;
  }

  async dispose(): Promise<void> {
    this.#closeClients();
    this.resume();
    await this.killNine();
  }

  #closeClients(): void {
    this.#log.close();
    this.#cluster.close();
  }
}

/** Several nodes that keep one log. */
export class LiveCluster {
  readonly nodes: LiveNode[];

  constructor(places: readonly NodePlace[]) {
    this.nodes = places.map((place) => new LiveNode(place));
  }

  /** Places on the loopback, for nodes `n1` and so on with their directories in `folder`. */
  static async places(folder: string, size: number, args: readonly string[] = []): Promise<NodePlace[]> {
    const names = Array.from({ length: size }, (_, number) => `n${number + 1}`);
    return Promise.all(names.map((name) => LiveCluster.place(folder, name, args)));
  }

  static async place(folder: string, name: string, args: readonly string[] = []): Promise<NodePlace> {
    const [address, gossipAddr] = (await freePorts(2)).map((port) => `127.0.0.1:${port}`);
    return { name, dataDir: join(folder, name), address, gossipAddr, args };
  }

  /** Resolves when the nodes have found each other, by default directly, one of them leads, and all vote. */
  async start(joining = this.joining): Promise<void> {
    const flags = ['--bootstrap-expect', String(this.nodes.length), ...joining];
    await Promise.all(this.nodes.map((node) => node.start(flags)));
    await this.voters(this.nodes.map(({ name }) => name));
  }

  get addresses(): string[] {
    return this.nodes.map(({ address }) => address);
  }

  /** The flags of a node that joins. */
  get joining(): string[] {
    return ['--start-join-addrs', this.nodes.map(({ gossipAddr }) => gossipAddr).join(',')];
  }

  node(name: string): LiveNode {
    const found = this.nodes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`no node ${name}`);
    return found;
  }

  /** Resolves when the leader says that exactly these are members, and all of them vote. */
  async voters(names: readonly string[]): Promise<ClusterStatus> {
    const wanted = [...names].sort().join(' ');
    let seen = 'no leader';
    return eventually(
      () => `the voters ${wanted}; the last were ${seen}`,
      async () => {
        const status = await (await this.leader()).view();
        if (status === undefined) return undefined;
        seen = status.members.map(({ name, role, state }) => `${name} (${role}, ${state})`).join(' ');
        const voters = status.members.filter(({ role }) => role !== 'learner').map(({ name }) => name);
        const isSo = voters.length === status.members.length && voters.sort().join(' ') === wanted;
        return isSo ? status : undefined;
      },
    );
  }

  /** The node that leads by its own word, in the latest term that any node knows. */
  leader(except?: LiveNode): Promise<LiveNode> {
    return eventually('a leader', async () => {
      const views = await Promise.all(this.nodes.map(async (node) => ({ node, status: await node.view() })));
      const term = Math.max(...views.map(({ status }) => status?.term ?? 0));
      return views.find(
        ({ node, status }) => node !== except && status?.term === term && status.leader === status.answeredBy,
      )?.node;
    });
  }

  async followers(): Promise<LiveNode[]> {
    const leader = await this.leader();
    return this.nodes.filter((node) => node !== leader && node.isUp);
  }

  /** Resolves when the leader has heard from so many members, itself among them, and sends them what is new. */
  async replicating(count: number): Promise<void> {
    let seen = 'no leader';
    await eventually(
      () => `${count} members in step; the last were ${seen}`,
      async () => {
        const status = await (await this.leader()).view();
        if (status === undefined) return undefined;
        seen = status.members.map(({ name, role, state }) => `${name} (${role}, ${state})`).join(' ');
        const inStep = status.members.filter(({ state }) => state === 'self' || state === 'replicating');
        return inStep.length >= count ? true : undefined;
      },
    );
  }

  /** Resolves when the node is a voter under a later Raft id than that. */
  async admittedAgain({ name }: LiveNode, id: number): Promise<void> {
    await eventually(`${name} to have a later Raft id than ${id}`, async () => {
      const members = (await (await this.leader()).view())?.members ?? [];
      return members.some((each) => each.name === name && each.id > id && each.role === 'voter') || undefined;
    });
  }

  /** Ends a node that is no member any more. */
  async drop(node: LiveNode): Promise<void> {
    this.nodes.splice(this.nodes.indexOf(node), 1);
    await node.dispose();
  }

  /** Resolves when the nodes, all of them by default, have all that is committed on their disks, and show it. */
  async converged(nodes: readonly LiveNode[] = this.nodes): Promise<void> {
    let seen: unknown[] = [];
    await eventually(
      () => `the same watermark at all nodes: ${seen.join(', ')}`,
      async () => {
        const views = await Promise.all(nodes.map((node) => node.view()));
        seen = views.map(
          (view) => view && `${view.answeredBy} ${view.commitIndex} of ${view.lastIndex}, ${view.highWatermark}`,
        );
        const [first] = views;
        return first !== undefined &&
          views.every((view) => view?.commitIndex === first.commitIndex && view.lastIndex === first.commitIndex) &&
          views.every((view) => view?.highWatermark === first.highWatermark)
          ? true
          : undefined;
      },
    );
  }

  /** Stops the nodes and compares their directories, byte for byte up to the watermark. */
  async compareStopped(): Promise<CompareReport> {
    const codes = await Promise.all(this.nodes.map((node) => node.stop()));
    if (codes.some((code) => code !== 0)) throw new Error(`nodes ended with ${codes.join(', ')}`);
    const [first, ...others] = this.nodes.map(({ dataDir }) => dataDir);
    const { stdout, stderr } = await runGolog(['verify', first, '--json', '--compare', ...others]);
    if (stdout === '') throw new Error(`golog verify said ${stderr}`);
    return JSON.parse(stdout) as CompareReport;
  }

  async dispose(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.dispose()));
  }
}
