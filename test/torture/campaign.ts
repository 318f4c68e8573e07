import { type BegunFault, type Fault, lasting, type Stage } from './fault.js';
import type { Load } from './load.js';
import type { TortureNode } from './node.js';
import type { Random } from './random.js';
import { median, type Recovery, type Report } from './report.js';

const defaultLastsMs: readonly [number, number] = [1_000, 10_000];
/** A fault alone lasts no longer than this; a pause that a new leader is to be elected in needs not much more. */
const aloneMsMax = 8_000;
/** A fault during which appends must go on lasts so long alone, and they must within ten election timeouts of a second. */
const [outlastedMs, gapMsMax] = [12_000, 10_000];
/** How soon appends go on, in the median and at worst, with the default election timeout of a second. */
const [medianMsMax, worstMsMax] = [2_000, 10_000];
const together: readonly [number, number] = [2, 5];
/** Faults of a round begin within so much of each other. */
const spreadMs = 4_000;
const quietMs: readonly [number, number] = [1_000, 5_000];

/** How long a fault lasts that is measured: longer than appends may stand still. */
const measuredMs = 5_000;

/** Ten election timeouts of a second (I10), the start of a process, and what a busy machine adds. */
const resumeTimeoutMs = 60_000;
/** A node that was wiped waits until its predecessor has been silent for ten seconds, catches up, and is promoted. */
const wholeTimeoutMs = 120_000;

/** Voters that have been in contact for this long have written down what they saw of each other (I16). */
const contactMs = 3_000;
/** From a read that finds damage to its repair, where the node repairs it by itself. */
const repairTimeoutMs = 5_000;

/** The cluster did not recover in time (I10), or a fault could not be begun or ended. */
export class StuckError extends Error {
  override readonly name = 'StuckError';
}

/** Has faults happen, one by one and together, and the cluster recover from them. */
export class Campaign {
  /** Faults since the cluster was whole that nodes may end by. */
  readonly #excuses = new Set<string>();

  constructor(
    private readonly stage: Stage,
    private readonly load: Load,
    private readonly faults: readonly Fault[],
    private readonly random: Random,
    private readonly report: Report,
  ) {}

  /** Faults that may be why a node ends by itself now. */
  get excuses(): readonly string[] {
    return [...this.#excuses];
  }

  /** Each fault by itself, in random order, until time is up. */
  async eachAlone(untilMs: number): Promise<void> {
    const random = this.random.fork('alone');
    const faults = random.shuffled(this.faults.filter((fault) => !this.#isLacking(fault)));
    for (const [i, fault] of faults.entries()) {
      if (performance.now() > untilMs) {
        this.report.tell(`no time for ${faults.length - i} of ${faults.length} faults alone`);
        return;
      }
      const { name, appendsGoOn } = fault;
      const [from, to] = fault.lastsMs ?? defaultLastsMs;
      const lastsMs = appendsGoOn === true ? outlastedMs : random.between(from, Math.min(to, aloneMsMax));
      if (fault.needsWhole) await this.#contact();
      const { gapMs } = await this.#recoverFrom(name, () => this.#play(fault, lastsMs, random.fork(name)));
      if (appendsGoOn === true && gapMs > gapMsMax)
        this.report.fail(`I10 no append was acknowledged for ${Math.round(gapMs)} ms during ${name}`);
    }
  }

  /** Measures how soon appends go on: each fault so many times by itself. */
  async measure(rounds: number): Promise<void> {
    const random = this.random.fork('measure');
    for (const fault of this.faults.filter((each) => each.appendsGoOn !== undefined && !this.#isLacking(each))) {
      const { name, appendsGoOn, lastsMs: [from] = defaultLastsMs } = fault;
      const times: number[] = [];
      for (let round = 1; round <= rounds; round += 1) {
        await this.#contact();
        const lastsMs = appendsGoOn === 'after' ? from : measuredMs;
        const play = (): Promise<void> => this.#play(fault, lastsMs, random.fork(`${name} ${round}`));
        const { gapMs, resumedMs } = await this.#recoverFrom(name, play);
        times.push(appendsGoOn === 'after' ? resumedMs : gapMs);
      }
      const [medianMs, worstMs] = [median(times), Math.max(...times)];
      this.report.tell(`${name}: appends go on after ${Math.round(medianMs)} ms (median), ${Math.round(worstMs)} ms`);
      if (medianMs > medianMsMax || worstMs > worstMsMax)
        this.report.fail(`${name}: appends go on later than ${medianMsMax} ms (median) or ${worstMsMax} ms`);
    }
  }

  /** Rounds of several faults, with quiet between them, until time is up. */
  async together(untilMs: number): Promise<void> {
    const faults = this.faults.filter((fault) => fault.lacks?.(this.stage) === undefined);
    for (let round = 1; performance.now() < untilMs; round += 1) {
      const random = this.random.fork(`round ${round}`);
      await this.#recoverFrom('several together', () => this.#round(faults, random));
      await lasting(random.between(...quietMs));
      if (random.percent(50)) await this.stage.copies.take(this.stage.cluster.nodes);
    }
  }

  /** Resolves when appends go on and the cluster is whole. */
  async recover(): Promise<{ resumedMs: number; wholeMs: number }> {
    const startMs = performance.now();
    const resumedMs = await this.load.goesOn(resumeTimeoutMs);
    const { cluster } = this.stage;
    await cluster.whole(wholeTimeoutMs);
    for (const node of cluster.rotten.keys()) await this.#repair(node);
    this.#excuses.clear();
    return { resumedMs, wholeMs: performance.now() - startMs };
  }

  /** Resolves when a disk may turn false again. */
  async #contact(): Promise<void> {
    await lasting(contactMs);
    await this.stage.cluster.whole(wholeTimeoutMs);
  }

  /** Plays faults from a cluster that is whole until it is whole again. */
  async #recoverFrom(name: string, play: () => Promise<void>): Promise<Recovery> {
    try {
      this.load.takeLongestGapMs();
      await play();
      const times = await this.recover();
      const recovery = { gapMs: this.load.takeLongestGapMs(), ...times };
      this.report.recovered(name, recovery);
      return recovery;
    } catch (error) {
      throw new StuckError(`${name}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }

  /** Has a node repair its log: a read finds the damage, and at the latest a restart repairs it. */
  async #repair(node: TortureNode): Promise<void> {
    const { cluster } = this.stage;
    if (await cluster.readRotten(node, repairTimeoutMs)) return;
    this.report.tell(`${node.name} is restarted to repair its log`);
    await node.stop();
    node.start();
    if (!(await cluster.readRotten(node, wholeTimeoutMs))) throw new StuckError(`${node.name} does not repair its log`);
    await cluster.whole(wholeTimeoutMs);
  }

  async #round(faults: readonly Fault[], random: Random): Promise<void> {
    const shuffled = random.shuffled(faults);
    const [first] = shuffled.filter(({ needsWhole }) => needsWhole);
    const others = shuffled.filter(({ needsWhole }) => !needsWhole).slice(0, random.between(...together));
    // The cluster is whole now, and will not be once another fault has begun.
    const chosen = first !== undefined && random.percent(60) ? [first, ...others.slice(1)] : others;
    if (chosen.some(({ needsWhole }) => needsWhole)) await this.#contact();
    const lasts = chosen.map(({ lastsMs = defaultLastsMs }) => random.between(...lastsMs));
    const begins = chosen.map((_, i) => (i === 0 ? 0 : random.below(spreadMs)));
    const played = await Promise.allSettled(
      chosen.map(async (fault, i) => {
        await lasting(begins[i]);
        await this.#play(fault, lasts[i], random.fork(fault.name));
      }),
    );
    for (const each of played) if (each.status === 'rejected') throw each.reason;
  }

  async #play(fault: Fault, lastsMs: number, random: Random): Promise<void> {
    if (fault.mayEndNodes) this.#excuses.add(fault.name);
    const begun: BegunFault | undefined = await fault.begin(this.stage, random);
    if (begun === undefined) {
      this.report.tell(`${fault.name} finds no node that is free`);
      return;
    }
    this.report.count(fault.name);
    this.report.tell(`${fault.name} begins: ${begun.what}`);
    await lasting(lastsMs);
    await begun.end();
    this.report.tell(`${fault.name} ends: ${begun.what}`);
  }

  #isLacking(fault: Fault): boolean {
    const reason = fault.lacks?.(this.stage);
    if (reason !== undefined) this.report.skip(fault.name, reason);
    return reason !== undefined;
  }
}
