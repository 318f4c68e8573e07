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

export interface Pair {
  readonly value: Sample;
  readonly baseline: Sample;
}

/** A and B in turn, so that what else the machine does meets both; the first round of each warms up and is not counted. */
export async function inTurn(
  rounds: number,
  value: (round: number) => Promise<number>,
  baseline: (round: number) => Promise<number>,
): Promise<Pair> {
  const values: number[] = [];
  const baselines: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const a = await value(round);
    const b = await baseline(round);
    if (round === 0) continue;
    values.push(a);
    baselines.push(b);
  }
  return { value: sampleOf(values), baseline: sampleOf(baselines) };
}
