import { afterAll, beforeAll } from '@jest/globals';
import type { ClientTls } from '../../src/client/index.js';
import { compile, Scratch } from '../end-to-end/golog-process.js';
import { LiveCluster, type NodePlace } from './live-cluster.js';
import { Load } from './load.js';

const linesShown = 60;

/** Makes one cluster of nodes none of which runs. */
type Forming = (cluster: LiveCluster) => Promise<void>;

/** What one test runs; ended with the test, whatever came of it. */
export class Run {
  readonly #ends: (() => Promise<void> | void)[] = [];
  #cluster: LiveCluster | undefined;

  constructor(
    private readonly scratch: Scratch,
    private readonly name: string,
  ) {}

  file(name: string): string {
    return this.scratch.file(`${this.name}-${name}`);
  }

  folder(): string {
    return this.scratch.folder(this.name);
  }

  /** Nodes `n1` and so on that find each other. */
  async cluster(size: number, args: readonly string[] = [], form?: Forming): Promise<LiveCluster> {
    return this.clusterAt(await LiveCluster.places(this.folder(), size, args), form);
  }

  async clusterAt(places: readonly NodePlace[], form: Forming = (cluster) => cluster.start()): Promise<LiveCluster> {
    const cluster = new LiveCluster(places);
    this.#cluster = cluster;
    this.#ends.push(() => cluster.dispose());
    await form(cluster);
    return cluster;
  }

  /** Producers at all the nodes that the cluster has. */
  load(cluster: LiveCluster, producers?: number, tls?: () => ClientTls): Load {
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

  /** The last lines of each node, for the message of a failure. */
  get lastLines(): string {
    const nodes = this.#cluster?.nodes ?? [];
    return nodes
      .map(({ name, output }) => `=== ${name}\n${output.split('\n').slice(-linesShown).join('\n')}`)
      .join('\n');
  }
}

/** Gives a test its own run; a failure tells what the nodes wrote last. */
export function clusterTests(): (name: string, test: (run: Run) => Promise<void>) => () => Promise<void> {
  let scratch: Scratch;
  beforeAll(() => {
    scratch = new Scratch();
    compile();
  }, 120_000);
  afterAll(() => scratch.remove());
  return (name, test) => async () => {
    const run = new Run(scratch, name);
    try {
      await test(run);
    } catch (error) {
      if (error instanceof Error) error.message += `\n${run.lastLines}`;
      throw error;
    } finally {
      await run.end();
    }
  };
}
