import Table from 'cli-table3';
import type { Command } from 'commander';
import { LogClient } from '../client/index.js';
import { addressOption } from './address-option.js';
import { ExitCode, exitCodeOf, exitCodesHelp, messageOf } from './exit-codes.js';

const details = `
Examples:
  golog servers
  golog servers --addr 10.0.0.5:8400 --json
${exitCodesHelp}`;

export function addServersCommand(program: Command): void {
  program
    .command('servers')
    .summary('list the members of the cluster')
    .description('Lists the members of the cluster, as a server sees them.')
    .addOption(addressOption())
    .option('--json', 'print JSON')
    .addHelpText('after', details)
    .action(async ({ addr, json }: { addr: string; json?: true }) => {
      process.exitCode = await runServers(addr, json === true);
    });
}

async function runServers(address: string, json: boolean): Promise<ExitCode> {
  const client = LogClient.connect(address);
  try {
    const servers = await client.servers();
    if (json) {
      process.stdout.write(`${JSON.stringify({ servers })}\n`);
      return ExitCode.ok;
    }
    const table = new Table({ head: ['id', 'gRPC address', 'leader'], style: { head: [], border: [] } });
    for (const { id, rpcAddr, isLeader } of servers) table.push([id, rpcAddr, isLeader ? 'yes' : '']);
    process.stdout.write(`${table.toString()}\n`);
    return ExitCode.ok;
  } catch (error) {
    process.stderr.write(`golog servers: ${messageOf(error)}\n`);
    return exitCodeOf(error);
  } finally {
    client.close();
  }
}
