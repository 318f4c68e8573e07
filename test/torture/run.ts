import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addressOf, noNamespacesBecause } from '../cluster/network-namespaces.js';
import { Campaign } from './campaign.js';
import { Certificates } from './certificates.js';
import { check } from './checker.js';
import { Cluster, hostsFor } from './cluster.js';
import { DirectoryCopies } from './directory-copies.js';
import { compileFaultySystem } from './faulty-system.js';
import { HistoryFile, readHistory } from './history.js';
import { HttpCaller } from './http-caller.js';
import { Links } from './links.js';
import { Load } from './load.js';
import type { NodeListener } from './node.js';
import type { Options } from './options.js';
import { Random } from './random.js';
import { readBack, Readers } from './readers.js';
import { Report } from './report.js';

const minuteMs = 60_000;
const formTimeoutMs = 60_000;
/** A run that measures lasts as long as its rounds take, and its clocks do not jump. */
const dayMinutes = 24 * 60;
/** The clocks of nodes jump by an hour: what is younger must not be dropped by that. A run takes some minutes longer. */
const retentionMinutes = (minutes: number): number => Math.max(45, minutes + 15);

/** Tortures a cluster, and prints how it went. Resolves with whether it kept all its promises. */
export async function runTorture(options: Options): Promise<boolean> {
  const reason = noNamespacesBecause();
  if (reason !== undefined) {
    console.log(`torture is skipped, since it needs network namespaces: ${reason}`);
    return true;
  }
  const folder = mkdtempSync(join(tmpdir(), 'golog-torture-'));
  console.log(`torture ${options.again}; files in ${folder}`);
  const torture = await Torture.prepare(options, folder);
  const interrupt = (): void => void torture.dispose(false).finally(() => process.exit(130));
  process.once('SIGINT', interrupt);
  let problems: readonly string[];
  try {
    problems = await torture.run();
  } finally {
    process.off('SIGINT', interrupt);
  }
  await torture.dispose(problems.length > 0);
  for (const problem of problems) console.log(`FAILED ${problem}`);
  console.log(problems.length === 0 ? 'no violation' : `history, logs and data directories are in ${folder}`);
  console.log(`again: npm run torture -- ${options.again}`);
  if (problems.length === 0) rmSync(folder, { recursive: true });
  return problems.length === 0;
}

/** One run: a cluster, its clients, and what happens to it. */
class Torture implements NodeListener {
  readonly #history: HistoryFile;
  readonly #report: Report;
  readonly #cluster: Cluster;
  #campaign: Campaign | undefined;

  private constructor(
    private readonly options: Options,
    private readonly folder: string,
    private readonly caller: HttpCaller,
    private readonly certificates: Certificates | undefined,
    private readonly sharedObject: string | undefined,
  ) {
    this.#history = new HistoryFile(join(folder, 'history.ndjson'));
    this.#report = new Report(this.#history);
    const { nodes: size, minutes, rounds } = options;
    const measured = rounds !== undefined;
    const minutesKept = measured ? dayMinutes : retentionMinutes(minutes);
    const what = { folder, size, retentionMinutes: minutesKept, measured, library: sharedObject, certificates };
    this.#cluster = new Cluster(what, caller, this);
  }

  static async prepare(options: Options, folder: string): Promise<Torture> {
    const library = await compileFaultySystem(folder);
    const names = Array.from({ length: options.nodes + 1 }, (_, i) => `n${i + 1}`);
    const hosts = Array.from({ length: hostsFor(options.nodes) }, (_, i) => addressOf(i + 1));
    const make = (): Promise<Certificates> => Certificates.make(join(folder, 'certificates'), names, hosts, library);
    const certificates = options.tls ? await make() : undefined;
    return new Torture(options, folder, new HttpCaller(certificates?.client), certificates, library);
  }

  led(node: string, term: number): void {
    this.#history.write({ kind: 'leader', node, term });
  }

  ended(node: string, how: string): void {
    const excuses = this.#campaign?.excuses ?? [];
    if (excuses.length === 0) this.#report.fail(`${node} ended by itself, without a fault that it may end by: ${how}`);
    else this.#report.tell(`${node} ended by itself (${excuses.join(', ')}): ${how}`);
  }

  /** Resolves with what went wrong. */
  async run(): Promise<readonly string[]> {
    try {
      await this.#cluster.form();
      const formedMs = await this.#cluster.whole(formTimeoutMs);
      this.#report.tell(`a cluster of ${this.options.nodes} has formed after ${Math.round(formedMs)} ms`);
      await this.#torture();
    } catch (error) {
      this.#report.fail(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
    }
    return this.#report.problems;
  }

  async dispose(keep: boolean): Promise<void> {
    await this.#cluster.dispose(keep);
    this.caller.close();
    this.#history.close();
  }

  async #torture(): Promise<void> {
    const random = new Random(this.options.seed);
    const endpoints = () => this.#cluster.endpoints;
    const load = new Load(this.caller, endpoints, this.#history, random.fork('load'));
    const readers = new Readers(this.caller, endpoints, this.#history, () => load.end, random.fork('readers'));
    const nodes: string[] = [];
    try {
      await this.#campaignOn(load, random.fork('faults'));
      await load.stop();
      await readers.stop();
      nodes.push(...(await this.#readBack()));
    } finally {
      await Promise.all([load.stop(), readers.stop()]);
      this.#conclude(load, readers, nodes);
    }
  }

  async #campaignOn(load: Load, random: Random): Promise<void> {
    const { minutes, rounds, faults } = this.options;
    const untilMs = performance.now() + minutes * minuteMs;
    const copies = new DirectoryCopies(join(this.folder, 'copies'));
    const stage = {
      cluster: this.#cluster,
      links: new Links(this.#cluster.network),
      copies,
      certificates: this.certificates,
      hasFaultySystems: this.sharedObject !== undefined,
      tell: (text: string) => this.#report.tell(text),
    };
    this.#campaign = new Campaign(stage, load, faults, random, this.#report);
    await this.#campaign.recover();
    await copies.take(this.#cluster.nodes);
    if (rounds !== undefined) {
      await this.#campaign.measure(rounds);
    } else {
      await this.#campaign.eachAlone(untilMs);
      await this.#campaign.together(untilMs);
    }
    this.#report.tell('all faults have ended');
  }

  /** Reads the whole log of each node, and compares their stores. Resolves with the names of the nodes. */
  async #readBack(): Promise<string[]> {
    for (const endpoint of this.#cluster.endpoints) await readBack(this.caller, this.#history, endpoint);
    const names = this.#cluster.nodes.map(({ name }) => name);
    for (const difference of await this.#cluster.compareStores()) this.#report.fail(difference);
    return names;
  }

  #conclude(load: Load, readers: Readers, nodes: readonly string[]): void {
    const { acknowledged, refused, unknown } = load.counts;
    const { answered, failed } = readers.counts;
    console.log(`\n${this.#report.table(this.options.faults.map(({ name }) => name))}\n`);
    console.log(`appends: ${acknowledged} acknowledged, ${refused} refused, ${unknown} of unknown outcome`);
    console.log(`errors: ${load.describeErrors()}`);
    console.log(`reads: ${answered} answered, ${failed} failed`);
    const violations = check(readHistory(this.#history.path), nodes);
    for (const { rule, text } of violations) this.#report.fail(`${rule}: ${text}`);
  }
}
