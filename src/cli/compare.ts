import { InvalidArgumentError } from 'commander';
import { compare, type CompareReport, hexOfCrc, type LogComparison } from '../infrastructure/offline.js';
import { counted, offsetsText } from './options/counted.js';
import { ExitCode } from './options/exit-codes.js';
import { columnsOfOutput, tableText } from './options/terminal.js';
import { type Progress, progressOnTerminal } from './options/progress.js';

/** Shows a progress bar for each pass over a directory, one after the other. */
export class ProgressOfPasses {
  #bar: Progress | undefined;
  #bytesDone = 0;

  constructor(private readonly quiet: boolean) {}

  readonly update = (bytesDone: number, bytesTotal: number): void => {
    if (bytesDone < this.#bytesDone) this.stop();
    this.#bytesDone = bytesDone;
    this.#bar ??= progressOnTerminal(bytesTotal, this.quiet);
    this.#bar.update(bytesDone);
  };

  stop(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}

/** Checks and compares the data directories of the nodes of a cluster, and prints the result. */
export async function runCompare(
  directories: readonly string[],
  progress: ProgressOfPasses,
  json: boolean,
): Promise<ExitCode> {
  if (directories.length < 2) throw new InvalidArgumentError('expected at least two data directories to compare');
  const report = await compare(directories, progress.update);
  progress.stop();
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : describe(report));
  if (report.directories.some(({ problems }) => problems.length > 0)) return ExitCode.corrupt;
  return report.differences.length === 0 ? ExitCode.ok : ExitCode.failure;
}

const columns = [
  { name: 'directory' },
  { name: 'entries' },
  { name: 'committed to', align: 'right' },
  { name: 'offsets' },
  { name: 'bytes', align: 'right' },
  { name: 'checks' },
] as const;

function describe({ directories, comparison, differences }: CompareReport): string {
  const rows: (string | number)[][] = [];
  const notes: string[] = [];
  directories.forEach(({ path, committedIndex, logStartOffset, logEndOffset, bytes, problems, inUse }, i) => {
    const extent = comparison?.extents[i];
    const entries = extent?.firstIndex === undefined ? '-' : `${extent.firstIndex} to ${extent.lastIndex}`;
    const offsets = offsetsText(logStartOffset, logEndOffset);
    rows.push([path, entries, committedIndex, offsets, bytes, problems.length > 0 ? 'CORRUPT' : 'good']);
    if (inUse) notes.push(`${path}: a node has the directory open and may be appending to its log`);
    if (extent?.conflictsFrom !== undefined)
      notes.push(
        `${path}: entries from index ${extent.conflictsFrom} on conflict with the others, and are not committed`,
      );
    if (extent?.stoppedBy !== undefined) notes.push(`${path}: the comparison stopped early: ${extent.stoppedBy}`);
  });
  return [
    tableText(columns, rows, columnsOfOutput()).trimEnd(),
    ...notes.map((text) => `note: ${text}`),
    ...directories.flatMap(({ path, problems }) => problems.map((text) => `PROBLEM: ${path}: ${text}`)),
    ...differences.map((text) => `DIFFERENCE: ${text}`),
    ...(comparison && differences.length === 0 ? [identical(comparison)] : []),
    '',
  ].join('\n');
}

function identical({ common, batches, records, bytes, payloadCrc32c, compared }: LogComparison): string {
  if (!common) return 'identical: nothing is committed';
  const range = `entries ${common.firstIndex} to ${common.lastIndex} are the same in all directories`;
  const sums = `${counted(records, 'record')} in ${counted(batches, 'batch')}, ${counted(bytes, 'byte')}, payloads CRC-32C ${hexOfCrc(payloadCrc32c)}`;
  const more =
    compared > batches ? `; so are ${compared - batches} committed entries that only some directories have` : '';
  return `identical: ${range}: ${sums}${more}`;
}
