import { type Command, InvalidArgumentError } from 'commander';
import { dump, type VerifyReport, verify } from '../infrastructure/offline.js';
import { ProgressOfPasses, runCompare } from './compare.js';
import { ExitCode, exitCodeOf, exitCodesHelp, messageOf } from './options/exit-codes.js';
import { counted, offsetsText } from './options/counted.js';
import { columnsOfOutput, tableText } from './options/terminal.js';
import { DataOutput, ReaderLeftError } from './options/standard-output.js';

const verifyDetails = `
The command changes nothing and needs no server; a node may have the directory open. A torn tail, which a crash can
leave, is not an error: it was never acknowledged, and the node cuts it off when it starts.

With --compare the command also compares the logs of the nodes of a cluster, entry by entry and byte by byte. Entries
must be the same in every directory in which they are committed, according to the commit index that the node saved last.
Entries after that may conflict, and are only reported as a note.

Examples:
  golog verify ./golog-data
  golog verify ./golog-data --json | jq .problems
  golog verify --compare ./golog-dev/n1 ./golog-dev/n2 ./golog-dev/n3
${exitCodesHelp}
With --compare, 1 also means that committed entries differ, or that there is no common entry to compare.`;

const dumpDetails = `
Examples:
  golog dump golog-data/logs/default/00000000000000000000.store
  golog dump golog-data/logs/default/00000000000000000000.store --json | jq -c 'select(.valid == false)'
${exitCodesHelp}`;

export function addVerifyCommand(program: Command): void {
  program
    .command('verify')
    .summary('check every checksum of a data directory')
    .description('Checks every checksum of a data directory, and that no batch is missing.')
    .argument('[DIR]', 'data directory of a node')
    .option('--compare <DIR...>', 'also check these directories, and that all of them hold the same log')
    .option('--json', 'print JSON')
    .addHelpText('after', verifyDetails)
    .action(async (directory: string | undefined, options: { compare?: string[]; json?: true }) => {
      process.exitCode = await runVerify(directory, options.compare, options.json === true);
    });
}

async function runVerify(
  directory: string | undefined,
  others: string[] | undefined,
  json: boolean,
): Promise<ExitCode> {
  const progress = new ProgressOfPasses(json);
  try {
    const directories = [...(directory === undefined ? [] : [directory]), ...(others ?? [])];
    if (others) return await runCompare(directories, progress, json);
    if (directory === undefined) throw new InvalidArgumentError('expected a data directory, such as ./golog-data');
    const report = await verify(directory, progress.update);
    progress.stop();
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : describe(report));
    return report.problems.length === 0 ? ExitCode.ok : ExitCode.corrupt;
  } catch (error) {
    progress.stop();
    process.stderr.write(`golog verify: ${messageOf(error)}\n`);
    return exitCodeOf(error);
  }
}

const verifyColumns = [
  { name: 'store' },
  { name: 'offsets' },
  { name: 'records', align: 'right' },
  { name: 'batches', align: 'right' },
  { name: 'bytes', align: 'right' },
  { name: 'index' },
  { name: 'checks' },
] as const;

function describe(report: VerifyReport): string {
  const rows = report.segments.map(({ fileName, base, end, records, batches, bytes, index, problems, tornBytes }) => {
    const verdict = problems.length > 0 ? 'CORRUPT' : tornBytes > 0 ? 'good, torn tail' : 'good';
    return [fileName, offsetsText(base?.offset, end?.offset), records, batches, bytes, index, verdict];
  });
  const { problems, remarks, records, batches, bytes, inUse } = report;
  const batchesOf = `${counted(records, 'record')} in ${counted(batches, 'batch')}`;
  const total = `${batchesOf}, ${counted(bytes, 'byte')} in ${counted(report.segments.length, 'segment')}`;
  return [
    tableText(verifyColumns, rows, columnsOfOutput()).trimEnd(),
    ...remarks.map((text) => `note: ${text}`),
    ...(inUse ? ['note: a node has the directory open and may be appending to its log'] : []),
    ...problems.map((text) => `PROBLEM: ${text}`),
    problems.length === 0 ? `clean: ${total}` : `${counted(problems.length, 'problem')}: ${total} passed their checks`,
    '',
  ].join('\n');
}

export function addDumpCommand(program: Command): void {
  program
    .command('dump')
    .summary('print the batches of a segment')
    .description('Prints the header and the batches of the .store file of a segment, including corrupt ones.')
    .argument('<SEGMENT>', '.store file of the segment')
    .option('--json', 'print one JSON object per line')
    .addHelpText('after', dumpDetails)
    .action(async (segment: string, { json }: { json?: true }) => {
      process.exitCode = await runDump(segment, json === true);
    });
}

async function runDump(segment: string, json: boolean): Promise<ExitCode> {
  const output = new DataOutput(process.stdout);
  let corrupt = false;
  try {
    for await (const part of dump(segment)) {
      if ('fileName' in part) {
        const { fileName, base, logId, bytes } = part;
        if (base === undefined && !fileName.endsWith('.store'))
          throw new Error(`${segment} is not a segment: expected its .store file`);
        corrupt ||= base === undefined;
        const id = logId === undefined ? undefined : Buffer.from(logId).toString('hex');
        await output.write(
          json
            ? `${JSON.stringify({ fileName, bytes, logId: id, baseOffset: base?.offset, baseIndex: base?.index })}\n`
            : `${fileName}: ${bytes} bytes, log ${id ?? '?'}, from offset ${base?.offset ?? '?'}, index ${base?.index ?? '?'}\n`,
        );
      } else if (part.valid) {
        const { kind, index, term, baseOffset, recordCount, appendTimeMs, payloadLength } = part.header;
        const appendTime = new Date(appendTimeMs).toISOString();
        const { position, producer } = part;
        const by = producer && `, producer ${JSON.stringify(producer.id)} ${producer.epoch}/${producer.sequence}`;
        await output.write(
          json
            ? `${JSON.stringify({ position, valid: true, kind, index, term, baseOffset, recordCount, appendTime, payloadBytes: payloadLength, producer })}\n`
            : `at ${position}: index ${index}, term ${term}, offset ${baseOffset}, ${counted(recordCount, 'record')}, ${payloadLength} bytes, ${appendTime}${by ?? ''}\n`,
        );
      } else {
        corrupt = true;
        const { position, end, reason } = part;
        await output.write(
          json
            ? `${JSON.stringify({ position, valid: false, end, reason })}\n`
            : `at ${position}: BAD up to ${end}: ${reason}\n`,
        );
      }
    }
    return corrupt ? ExitCode.corrupt : ExitCode.ok;
  } catch (error) {
    if (error instanceof ReaderLeftError) return ExitCode.ok;
    process.stderr.write(`golog dump: ${messageOf(error)}\n`);
    return exitCodeOf(error);
  }
}
