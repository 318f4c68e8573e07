import Table from 'cli-table3';
import { type Command, InvalidArgumentError } from 'commander';
import { dump, type VerifyReport, verify } from '../infrastructure/offline.js';
import { ProgressOfPasses, runCompare } from './compare.js';
import { ExitCode, exitCodeOf, exitCodesHelp, messageOf } from './options/exit-codes.js';
import { DataOutput, ReaderLeftError } from './options/standard-output.js';

const verifyDetails = `
Changes nothing and needs no server; a node may have the directory open. A torn end, which a crash may leave, is
no error: it was never acknowledged, and starting the node cuts it off.

With --compare it also compares the logs of a cluster's nodes, entry by entry and byte by byte. An entry must be the
same wherever it is held as committed; how far a node had committed is what it saved last. What a node holds beyond
that may conflict with the others and is only told.

Examples:
  golog verify ./golog-data
  golog verify ./golog-data --json | jq .problems
  golog verify --compare ./golog-dev/n1 ./golog-dev/n2 ./golog-dev/n3
${exitCodesHelp}
With --compare, 1 also means that committed entries differ, or that there were none to compare.`;

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
    .argument('[DIR]', 'the data directory')
    .option('--compare <DIR...>', 'check these too, and that the logs of all are the same')
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
    if (directory === undefined) throw new InvalidArgumentError('name a data directory');
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

function describe(report: VerifyReport): string {
  const table = new Table({
    head: ['store', 'offsets', 'records', 'batches', 'bytes', 'index', 'checks'],
    style: { head: [], border: [] },
    colAligns: ['left', 'left', 'right', 'right', 'right', 'left', 'left'],
  });
  for (const { fileName, base, end, records, batches, bytes, index, problems, tornBytes } of report.segments) {
    const verdict = problems.length > 0 ? 'CORRUPT' : tornBytes > 0 ? 'good, torn end' : 'good';
    table.push([fileName, `${base?.offset ?? '?'} to ${end?.offset ?? '?'}`, records, batches, bytes, index, verdict]);
  }
  const { problems, remarks, records, batches, bytes, inUse } = report;
  const total = `${records} records in ${batches} batches, ${bytes} bytes in ${report.segments.length} segments`;
  return [
    table.toString(),
    ...remarks.map((text) => `note: ${text}`),
    ...(inUse ? ['note: a node has the directory open; the end of its log may be under way'] : []),
    ...problems.map((text) => `PROBLEM: ${text}`),
    problems.length === 0 ? `clean: ${total}` : `${problems.length} problems: ${total} are good`,
    '',
  ].join('\n');
}

export function addDumpCommand(program: Command): void {
  program
    .command('dump')
    .summary("print a segment's batches")
    .description("Prints the header and the batches of a segment's .store file, the bad ones included.")
    .argument('<SEGMENT>', 'a .store file')
    .option('--json', 'print one JSON object a line')
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
        const { position } = part;
        await output.write(
          json
            ? `${JSON.stringify({ position, valid: true, kind, index, term, baseOffset, recordCount, appendTime, payloadBytes: payloadLength })}\n`
            : `at ${position}: index ${index}, term ${term}, offset ${baseOffset}, ${recordCount} records, ${payloadLength} bytes, ${appendTime}\n`,
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
