import type { Command } from 'commander';
import { addressesOption } from './options/address-option.js';
import { type ServerFlags, withCluster } from './options/cluster-call.js';
import { exitCodesHelp } from './options/exit-codes.js';

const examples = `
Examples:
  golog leader transfer
  golog leader transfer n3
${exitCodesHelp}`;

export function addLeaderCommand(program: Command): void {
  const leader = program
    .command('leader')
    .summary('hand leadership over')
    .description('Changes who leads the cluster.')
    .addHelpText('after', examples);

  leader
    .command('transfer')
    .summary('hand leadership to another voter')
    .description('Hands leadership to another voter, and waits until it leads.')
    .argument('[NODE]', 'its name (default: the most advanced other voter)')
    .addOption(addressesOption())
    .option('--json', 'print JSON')
    .addHelpText('after', examples)
    .action(async (node: string | undefined, { json, ...servers }: ServerFlags & { json?: true }) => {
      process.exitCode = await withCluster('leader transfer', servers, async (cluster, signal) => {
        const name = await cluster.transferLeadership(node, signal);
        process.stdout.write(json === true ? `${JSON.stringify({ leader: name })}\n` : `${name} leads\n`);
      });
    });
}
