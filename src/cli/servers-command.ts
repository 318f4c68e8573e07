import type { Command } from 'commander';
import { addressesOption } from './address-option.js';
import { type ServerFlags, withCluster } from './cluster-call.js';
import { exitCodesHelp } from './exit-codes.js';
import { serverRows, serversText } from './servers.js';

const details = `
"golog cluster status" says how far each of them is.

Examples:
  golog servers
  golog servers --addr 10.0.0.5:8400,10.0.0.6:8400 --json
${exitCodesHelp}`;

export function addServersCommand(program: Command): void {
  program
    .command('servers')
    .summary('list the nodes of the cluster, as Raft and gossip know them')
    .description(
      'Lists the members, the replicas and the nodes that want to join, as Raft and gossip know them, side by side.',
    )
    .addOption(addressesOption())
    .option('--json', 'print JSON')
    .addHelpText('after', details)
    .action(async ({ json, ...servers }: ServerFlags & { json?: true }) => {
      process.exitCode = await withCluster('servers', servers, async (cluster, signal) => {
        const rows = serverRows(await cluster.status({ signal }));
        process.stdout.write(
          json === true
            ? `${JSON.stringify({ servers: rows })}
`
            : serversText(rows),
        );
      });
    });
}
