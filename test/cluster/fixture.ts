import { mkdirSync } from 'node:fs';
import { afterAll, beforeAll } from '@jest/globals';
import type { ClientTls } from '../../src/client/index.js';
import { compile, Scratch } from '../end-to-end/golog-process.js';
import { LiveCluster, LiveNode, type NodePlace } from './live-cluster.js';
import { Load } from './load.js';
import { addressOf, type Network } from './network-namespaces.js';
import { type Caller, clusterSecurity, inClear, isSecured, type Security } from './security.js';

const linesShown = 60;

/** Makes one cluster of nodes none of which runs. */
type Forming = (cluster: LiveCluster) => Promise<void>;

/** What one test runs; ended with the test, whatever came of it. */
export class Run {
  readonly #ends: (() => Promise<void> | void)[] = [];
  #cluster: LiveCluster | undefined;
  #mayRefuse = false;

  constructor(
    private readonly scratch: Scratch,
    private readonly name: string,
    private readonly security: Security = inClear,
  ) {}

  file(name: string): string {
    return this.scratch.file(`${this.name}-${name}`);
  }

  folder(): string {
    return this.scratch.folder(this.name);
  }

  /** The folder of their directories. */
  get #nodes(): string {
    mkdirSync(this.file('nodes'), { recursive: true });
    return this.file('nodes');
  }

  /** Nodes `n1` and so on that find each other. */
  async cluster(size: number, args: readonly string[] = [], form?: Forming): Promise<LiveCluster> {
    const places = await LiveCluster.places(this.#nodes, size, args);
    return this.clusterAt(
      places.map((place) => this.secured(place)),
      form,
    );
  }

  async clusterAt(places: readonly NodePlace[], form: Forming = (cluster) => cluster.start()): Promise<LiveCluster> {
    const cluster = new LiveCluster(places);
    this.#cluster = cluster;
    this.#ends.push(() => cluster.dispose());
    await form(cluster);
    return cluster;
  }

  /** Nodes `n1` and so on, one at each of the first hosts of the network (default: of all). */
  async clusterIn(network: Network, form?: Forming, size = network.hosts): Promise<LiveCluster> {
    const places = Array.from({ length: size }, (_, i) => this.placeIn(network, i + 1, `n${i + 1}`));
    return this.clusterAt(places, form);
  }

  /** The place of the node at that host. */
  placeIn(network: Network, host: number, name: string): NodePlace {
    return this.secured({
      name,
      dataDir: this.file(name),
      address: `${addressOf(host)}:8400`,
      gossipAddr: `${addressOf(host)}:8401`,
      args: ['--rpc-addr', addressOf(host), ...(isSecured ? [] : ['--insecure'])],
      through: network.through(host),
    });
  }

  /** One node besides those of the cluster, which does not run yet. */
  async node(name: string, args: readonly string[] = []): Promise<LiveNode> {
    return this.nodeAt(this.secured(await LiveCluster.place(this.#nodes, name, args)));
  }

  nodeAt(place: NodePlace): LiveNode {
    const node = new LiveNode(place);
    this.#ends.push(() => node.dispose());
    return node;
  }

  /** The place of a node that is secured as all are here. */
  secured(place: NodePlace): NodePlace {
    const tls = this.security.tls('consumer');
    const args = [...this.security.nodeFlags(place.name), ...(place.args ?? [])];
    return { ...place, args, ...(tls && { tls }) };
  }

  /** What the caller shows to the nodes. */
  tls(caller: Caller): ClientTls | undefined {
    return this.security.tls(caller);
  }

  /** What the node of that name shows to its peers. */
  nodeTls(name: string): ClientTls | undefined {
    return this.security.nodeTls(name);
  }

  /** Nodes of another cluster, with certificates of the same CA. They end with this run. */
  async beside(cluster: string): Promise<Run> {
    const other = new Run(this.scratch, `${this.name}-${cluster}`, await this.security.beside(cluster));
    this.#ends.push(() => other.end());
    return other;
  }

  /** Lets the nodes refuse callers in this test, which makes some that they should refuse. */
  refuses(): void {
    this.#mayRefuse = true;
  }

  /** Flags by which a command calls the nodes as this caller. */
  as(caller: Caller): string[] {
    return this.security.callerFlags(caller);
  }

  /** Producers at all the nodes that the cluster has. */
  load(cluster: Pick<LiveCluster, 'addresses'>, producers?: number, tls = () => this.tls('appender')): Load {
    const load = new Load(() => cluster.addresses, producers, tls);
    this.#ends.push(() => load.end());
    return load;
  }

  /** Runs at the end of the test, before what was asked for earlier. */
  atEnd(end: () => Promise<void> | void): void {
    this.#ends.push(end);
  }

  async end(): Promise<void> {
    for (let end = this.#ends.pop(); end !== undefined; end = this.#ends.pop()) await end();
  }

  /** Throws where the nodes were not secured as they should have been, or refused somebody. */
  expectSecured(): void {
    for (const { output } of this.#cluster?.nodes ?? []) this.security.expectIn(output, this.#mayRefuse);
  }

  /** The last lines of each node, for the message of a failure. */
  get lastLines(): string {
    const nodes = this.#cluster?.nodes ?? [];
    return nodes
      .map(({ name, output }) => `=== ${name}\n${output.split('\n').slice(-linesShown).join('\n')}`)
      .join('\n');
  }
}

/** Gives a test its own run, with nodes on these hosts; a failure tells what the nodes wrote last. */
export function clusterTests(
  hosts: readonly string[] = ['127.0.0.1'],
): (name: string, test: (run: Run) => Promise<void>) => () => Promise<void> {
  let scratch: Scratch;
  let security: Security;
  beforeAll(async () => {
    scratch = new Scratch();
    compile();
    security = await clusterSecurity(scratch.file('certificates'), hosts);
  }, 120_000);
  afterAll(() => scratch.remove());
  return (name, test) => async () => {
    const run = new Run(scratch, name, security);
    try {
      await test(run);
      run.expectSecured();
    } catch (error) {
      if (error instanceof Error) error.message += `\n${run.lastLines}`;
      throw error;
    } finally {
      await run.end();
    }
  };
}
