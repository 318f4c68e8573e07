import Table from 'cli-table3';
import type { Command } from 'commander';
import { addressesOption } from './address-option.js';
import { type ServerFlags, withCluster } from './cluster-call.js';
import { exitCodesHelp } from './exit-codes.js';

const details = `
"golog cluster status" says how far each of them is.

Examples:
  golog servers
  golog servers --addr 10.0.0.5:8400,10.0.0.6:8400 --json
${exitCodesHelp}`;

export function addServersCommand(program: Command): void {
  program
    .command('servers')
    .summary('list the members of the cluster')
    .description('Lists the members of the cluster, as a server sees them.')
    .addOption(addressesOption())
    .option('--json', 'print JSON')
    .addHelpText('after', details)
    .action(async ({ json, ...servers }: ServerFlags & { json?: true }) => {
      process.exitCode = await withCluster('servers', servers, async (cluster, signal) => {
        const found = await cluster.servers(signal);
        if (json === true) {
          process.stdout.write(`${JSON.stringify({ servers: found })}\n`);
          return;
        }
        const table = new Table({ head: ['id', 'gRPC address', 'leader'], style: { head: [], border: [] } });
        for (const { id, rpcAddr, isLeader } of found) table.push([id, rpcAddr, isLeader ? 'yes' : '']);
        process.stdout.write(`${table.toString()}\n`);
      });
    });
}
