import type { Command } from 'commander';
import { addressesOption } from './options/address-option.js';
import { type ServerFlags, withCluster } from './options/cluster-call.js';
import { exitCodesHelp } from './options/exit-codes.js';
import { printable } from './options/printable.js';

const examples = `
Examples:
  golog leader transfer
  golog leader transfer n3
${exitCodesHelp}`;

export function addLeaderCommand(program: Command): void {
  const leader = program
    .command('leader')
    .summary('transfer leadership')
    .description('Changes the leader of the cluster.')
    .addHelpText('after', examples);

  leader
    .command('transfer')
    .summary('transfer leadership to another voter')
    .description('Transfers leadership to another voter, and waits until that is the leader.')
    .argument('[NODE]', 'name of the voter (default: the most up-to-date other voter)')
    .addOption(addressesOption())
    .option('--json', 'print JSON')
    .addHelpText('after', examples)
    .action(async (node: string | undefined, { json, ...servers }: ServerFlags & { json?: true }) => {
      process.exitCode = await withCluster('leader transfer', servers, async (cluster, signal) => {
        const name = await cluster.transferLeadership(node, signal);
        process.stdout.write(
          json === true ? `${JSON.stringify({ leader: name })}\n` : `${printable(name)} is the leader\n`,
        );
      });
    });
}
