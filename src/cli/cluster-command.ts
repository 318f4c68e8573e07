import type { Command } from 'commander';
import type { ClusterClient } from '../client/index.js';
import { addressesOption } from './options/address-option.js';
import { type ServerFlags, withCluster } from './options/cluster-call.js';
import { clusterStatusText } from './cluster-status-text.js';
import { exitCodesHelp, messageOf } from './options/exit-codes.js';
import { DataOutput } from './options/standard-output.js';

interface StatusFlags extends ServerFlags {
  readonly local?: true;
  readonly watch?: true;
  readonly json?: true;
}

const details = `
Any member can be asked; it asks the leader, or shows its own view where there is none. "problem" says why nothing
commits when it does not.

State, as the leader sees a member:
  self          the leader itself
  replicating   gets the log as it grows
  probing       where the logs meet is not known yet
  catching-up   gets stored segments
  unreachable   not heard from for an election timeout
  unknown       the node that answers does not lead

With --watch it prints the status again on every change until Ctrl-C: in place on a terminal, else one after the other
(with --json one object a line).

Examples:
  golog cluster status
  golog cluster status --watch
  golog cluster status --addr 10.0.0.5:8400,10.0.0.6:8400 --json | jq -r .leader
${exitCodesHelp}`;

const clearScreen = '\u001b[H\u001b[J';

export function addClusterCommand(program: Command): void {
  const cluster = program.command('cluster').summary('how the cluster is').description('Tells how the cluster is.');
  cluster.addHelpText('after', `\nExamples:\n  golog cluster status\n${exitCodesHelp}`);
  cluster
    .command('status')
    .summary('members, leader, and why nothing commits when it does not')
    .description('Prints the leader, how far the log is committed, and how far each member is.')
    .addOption(addressesOption())
    .option('--local', 'as the server asked sees it, whoever leads')
    .option('--watch', 'print it again on every change')
    .option('--json', 'print JSON')
    .addHelpText('after', details)
    .action(async (flags: StatusFlags) => {
      process.exitCode = await withCluster('cluster status', flags, (cluster, signal) =>
        flags.watch === true ? watch(cluster, flags, signal) : once(cluster, flags, signal),
      );
    });
}

async function once(cluster: ClusterClient, { local, json }: StatusFlags, signal: AbortSignal): Promise<void> {
  const status = await cluster.status({ local: local === true, signal });
  process.stdout.write(json === true ? `${JSON.stringify(status)}\n` : clusterStatusText(status));
}

async function watch(cluster: ClusterClient, { local, json }: StatusFlags, signal: AbortSignal): Promise<void> {
  const redraw = process.stdout.isTTY && json !== true;
  const onLost = (reason: unknown): void => {
    process.stderr.write(`golog cluster status: ${messageOf(reason)}, trying again\n`);
  };
  const output = new DataOutput(process.stdout);
  let separator = '';
  for await (const status of cluster.watch({ local: local === true, signal, onLost })) {
    if (json === true) await output.write(`${JSON.stringify(status)}\n`);
    else await output.write(`${redraw ? clearScreen : separator}${clusterStatusText(status)}`);
    separator = '\n';
  }
}
