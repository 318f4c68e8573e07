import { cpus } from 'node:os';
import { machineUse, useOf } from './processes.js';

export interface Sample {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export function sampleOf(values: readonly number[]): Sample {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: percentile(sorted, 0.5), least: percentile(sorted, 0), most: percentile(sorted, 1) };
}

/** Nearest rank; takes ascending values. */
export function percentile(sorted: readonly number[], share: number): number {
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  if (value === undefined) throw new RangeError('no values');
  return value;
}

/** What one round did: records or calls, whatever the figure counts. */
export interface Load {
  readonly units: number;
  readonly seconds: number;
}

/** One of two that are compared. */
export interface Side {
  /** The server under load; all of them where several do the work together. */
  readonly pid: number | readonly number[];
  load(): Promise<Load>;
}

export interface SideResult {
  /** Units a second, over the counted rounds. */
  readonly rate: Sample;
  readonly rounds: readonly number[];
  /** CPU time of the server, or of all servers, over all threads, user and system; other processes hardly change it. */
  readonly cpuMicrosPerUnit: number;
  /** The share of all cores that neither the server nor the load used, at the median. */
  readonly othersCpuShare: number;
}

export interface Pair {
  readonly value: SideResult;
  readonly baseline: SideResult;
}

async function cpuSecondsOf(pids: readonly number[]): Promise<number> {
  const uses = await Promise.all(pids.map(useOf));
  return uses.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
}

class Rounds {
  private readonly rates: number[] = [];
  private readonly othersShares: number[] = [];
  private cpuSeconds = 0;
  private units = 0;

  constructor(private readonly side: Side) {}

  async next(counts: boolean): Promise<void> {
    const pids = [this.side.pid].flat();
    const startedAt = performance.now();
    const [before, machineBefore] = await Promise.all([cpuSecondsOf(pids), machineUse()]);
    const { units, seconds } = await this.side.load();
    const [after, machineAfter] = await Promise.all([cpuSecondsOf(pids), machineUse()]);
    if (!counts) return;
    const cpuSeconds = after - before;
    const ownSeconds = machineAfter.ownSeconds - machineBefore.ownSeconds;
    const othersSeconds = machineAfter.busySeconds - machineBefore.busySeconds - ownSeconds - cpuSeconds;
    const coreSeconds = (cpus().length * (performance.now() - startedAt)) / 1000;
    this.rates.push(units / seconds);
    this.othersShares.push(Math.max(0, othersSeconds / coreSeconds));
    this.cpuSeconds += cpuSeconds;
    this.units += units;
  }

  result(): SideResult {
    const cpuMicrosPerUnit = (this.cpuSeconds * 1e6) / this.units;
    const othersCpuShare = sampleOf(this.othersShares).median;
    return { rate: sampleOf(this.rates), rounds: this.rates, cpuMicrosPerUnit, othersCpuShare };
  }
}

/** A and B in turn, so that what else the machine does meets both; the first round of each warms up and is not counted. */
export async function inTurn(rounds: number, value: Side, baseline: Side): Promise<Pair> {
  const a = new Rounds(value);
  const b = new Rounds(baseline);
  for (let round = 0; round <= rounds; round++) {
    await a.next(round > 0);
    await b.next(round > 0);
  }
  return { value: a.result(), baseline: b.result() };
}
