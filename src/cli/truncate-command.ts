import { type Command, Option } from 'commander';
import { addressesOption } from './options/address-option.js';
import { type ServerFlags, withCluster } from './options/cluster-call.js';
import { confirmOrThrow } from './options/confirm.js';
import { exitCodesHelp } from './options/exit-codes.js';
import { parseCount } from './options/option-values.js';

interface Flags extends ServerFlags {
  readonly before: number;
  readonly yes?: true;
  readonly json?: true;
}

const details = `
Records before the offset can no longer be read at any node, including nodes that are down now and replicas. Whole
segments before it are removed from the disks. This cannot be undone. On a terminal the command asks first; without
one it needs --yes.

Examples:
  golog truncate --before 1000000
  golog truncate --before 1000000 --yes --addr 10.0.0.5:8400
${exitCodesHelp}`;

export function addTruncateCommand(program: Command): void {
  program
    .command('truncate')
    .summary('remove the records before an offset from the whole cluster')
    .description('Moves the start of the log to an offset, on every node and for good.')
    .addOption(
      new Option('--before <OFFSET>', 'the first offset to keep').argParser(parseCount(0)).makeOptionMandatory(),
    )
    .addOption(addressesOption())
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .addHelpText('after', details)
    .action(async ({ before, yes, json, ...servers }: Flags) => {
      process.exitCode = await withCluster('truncate', servers, async (cluster, signal) => {
        if (yes !== true) await confirmOrThrow(`Remove all records before offset ${before} from the cluster?`, signal);
        const startOffset = await cluster.truncateLog(before, signal);
        process.stdout.write(
          json === true ? `${JSON.stringify({ startOffset })}\n` : `the log starts at offset ${startOffset}\n`,
        );
      });
    });
}
