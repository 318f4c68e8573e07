import type { Row, Target } from './figure.js';
import type { Machine } from './machine.js';
import type { Sample } from './rounds.js';

function amount(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (value >= 10_000) return `${(value / 1e3).toFixed(1)} k`;
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2);
}

function describeTarget(target: Target, unit: string): string {
  if ('ratioAtLeast' in target) return `>= ${target.ratioAtLeast}`;
  if ('below' in target) return `< ${target.below} ${unit}`;
  return `within ${target.ratioWithin * 100} %`;
}

/** How far the rounds lie apart, as a share of their median. */
const width = ({ median, least, most }: Sample): string => `${Math.round(((most - least) / median) * 100)} %`;

function cellsOf(row: Row): string[] {
  const rounds = row.rounds && [row.rounds.value, row.rounds.baseline];
  return [
    row.figure,
    `${amount(row.value)} ${row.unit}`,
    row.baseline === undefined ? '-' : `${amount(row.baseline)} (${row.baselineName ?? ''})`,
    row.ratio === undefined ? '-' : row.ratio.toFixed(2),
    row.target === undefined ? '-' : describeTarget(row.target, row.unit),
    row.pass === undefined ? '-' : row.pass ? 'pass' : 'MISSED',
    rounds?.map(({ rate }) => width(rate)).join(' / ') ?? '-',
    rounds?.map(({ cpuMicrosPerUnit }) => `${amount(cpuMicrosPerUnit)} µs`).join(' / ') ?? '-',
    rounds?.map(({ othersCpuShare }) => `${Math.round(othersCpuShare * 100)} %`).join(' / ') ?? '-',
    row.note ?? '',
  ];
}

export function table(rows: readonly Row[]): string {
  const head = ['figure', 'value', 'baseline', 'ratio', 'target', 'result', 'spread', 'server CPU', 'others', 'note'];
  const lines = [head, ...rows.map(cellsOf)];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const text = (line: readonly string[]): string =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [text(head), widths.map((n) => '-'.repeat(n)).join('  '), ...lines.slice(1).map(text)].join('\n');
}

export function heading(machine: Machine): string {
  const peers = Object.entries(machine.peers).map(([name, version]) => `${name}: ${version}`);
  return [
    `machine  ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGib} GiB, ${machine.kernel}, ${machine.fileSystem}`,
    `node     ${machine.node}; ${peers.join('; ')}`,
    `date     ${machine.date}; load average at the start ${machine.load.toFixed(2)}`,
  ].join('\n');
}
