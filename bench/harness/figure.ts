import type { Bench } from './bench.js';
import type { Pair } from './rounds.js';

/** What a ratio or a value must reach. */
export type Target = { readonly ratioAtLeast: number } | { readonly ratioWithin: number } | { readonly below: number };

export interface Row {
  readonly figure: string;
  readonly unit: string;
  readonly value: number;
  readonly baseline?: number;
  readonly baselineName?: string;
  readonly ratio?: number;
  readonly target?: Target;
  /** Absent without a target: the row is there for information. */
  readonly pass?: boolean;
  readonly rounds?: Pair;
  readonly note?: string;
}

/** One line of issue and README: a file in `figures/`, and a name in `--only`. */
export interface Figure {
  readonly name: string;
  readonly title: string;
  /** Why it cannot run here, or undefined when it can. */
  skip?(): Promise<string | undefined>;
  run(bench: Bench): Promise<readonly Row[]>;
}

export function ratioRow(
  head: { figure: string; unit: string; baselineName: string; note?: string },
  pair: Pair,
  target: Target,
): Row {
  const ratio = pair.value.rate.median / pair.baseline.rate.median;
  return {
    ...head,
    value: pair.value.rate.median,
    baseline: pair.baseline.rate.median,
    ratio,
    target,
    pass: reaches(target, pair.value.rate.median, ratio),
    rounds: pair,
  };
}

/** For two values that were not measured in turn. */
export function plainRatioRow(
  head: { figure: string; unit: string; baselineName: string; note?: string },
  value: number,
  baseline: number,
  target: Target,
): Row {
  const ratio = value / baseline;
  return { ...head, value, baseline, ratio, target, pass: reaches(target, value, ratio) };
}

export const valueRow = (
  head: { figure: string; unit: string; note?: string },
  value: number,
  target?: Target,
): Row => ({
  ...head,
  value,
  ...(target && { target, pass: reaches(target, value, Number.NaN) }),
});

function reaches(target: Target, value: number, ratio: number): boolean {
  if ('below' in target) return value < target.below;
  if ('ratioAtLeast' in target) return ratio >= target.ratioAtLeast;
  return ratio >= 1 - target.ratioWithin && ratio <= 1 / (1 - target.ratioWithin);
}
