import type { HistoryFile } from './history.js';

/** How the cluster came through a fault. */
export interface Recovery {
  /** The longest time without an acknowledged append, from the begin of the fault until appends went on. */
  readonly gapMs: number;
  /** From the end of the fault until appends went on. */
  readonly resumedMs: number;
  /** From the end of the fault until every node was a ready voter. */
  readonly wholeMs: number;
}

export function median(times: readonly number[]): number {
  return [...times].sort((a, b) => a - b)[Math.floor((times.length - 1) / 2)];
}

const seconds = (ms: number): string => (ms / 1_000).toFixed(1);

/** The median and the maximum, in seconds. */
function figures(times: readonly number[]): string {
  return times.length === 0 ? '–' : `${seconds(median(times))} / ${seconds(Math.max(...times))}`;
}

/** What is printed of a run. */
export class Report {
  readonly #startMs = performance.now();
  readonly #recoveries = new Map<string, Recovery[]>();
  readonly #times = new Map<string, number>();
  readonly #skipped = new Map<string, string>();
  /** What went wrong so far. */
  readonly problems: string[] = [];

  constructor(private readonly history: HistoryFile) {}

  tell(text: string): void {
    const atMs = performance.now();
    console.log(`${seconds(atMs - this.#startMs).padStart(7)} s  ${text}`);
    this.history.write({ kind: 'fault', atMs, text });
  }

  fail(problem: string): void {
    this.problems.push(problem);
    this.tell(`FAILED ${problem}`);
  }

  skip(fault: string, reason: string): void {
    this.#skipped.set(fault, reason);
    this.tell(`${fault} is skipped: ${reason}`);
  }

  count(fault: string): void {
    this.#times.set(fault, (this.#times.get(fault) ?? 0) + 1);
  }

  recovered(after: string, recovery: Recovery): void {
    this.#recoveries.set(after, [...(this.#recoveries.get(after) ?? []), recovery]);
    const { gapMs, resumedMs, wholeMs } = recovery;
    const times = `appends go on ${seconds(resumedMs)} s after, whole ${seconds(wholeMs)} s after`;
    this.tell(`${after}: ${times}, longest gap ${seconds(gapMs)} s`);
  }

  /** One line for each fault, in their order: how often it happened, and how the cluster came through it alone. */
  table(faults: readonly string[]): string {
    const rows = [...faults, ...[...this.#recoveries.keys()].filter((name) => !faults.includes(name))].map((name) => {
      const reason = this.#skipped.get(name);
      if (reason !== undefined) return [name, '0', `skipped: ${reason}`, '', ''];
      const recoveries = this.#recoveries.get(name) ?? [];
      const times = (of: keyof Recovery): string => figures(recoveries.map((recovery) => recovery[of]));
      const count = this.#times.get(name) ?? recoveries.length;
      return [name, String(count), times('resumedMs'), times('wholeMs'), times('gapMs')];
    });
    const head = ['fault', 'times', 'appends go on, s', 'whole again, s', 'longest gap, s'];
    const all = [head, ...rows];
    const widths = head.map((_, i) =>
      Math.max(...all.map((row) => (row[2].startsWith('skipped') && i > 1 ? 0 : row[i].length))),
    );
    return all
      .map((row) =>
        row
          .map((cell, i) => cell.padEnd(widths[i]))
          .join('  ')
          .trimEnd(),
      )
      .join('\n');
  }
}
