import type { Command } from 'commander';
import type { ClusterClient, ClusterStatus } from '../client/index.js';
import { addressesOption } from './options/address-option.js';
import { type ServerFlags, withCluster } from './options/cluster-call.js';
import { addSettingCommands } from './cluster-settings.js';
import { clusterStatusText } from './cluster-status-text.js';
import { ExitCode, exitCodesHelp, messageOf } from './options/exit-codes.js';
import { printableJson } from './options/printable.js';
import { DataOutput } from './options/standard-output.js';
import { columnsOfOutput, cutTo, isRedrawable, rowsOfOutput } from './options/terminal.js';

interface StatusFlags extends ServerFlags {
  readonly local?: true;
  readonly watch?: true;
  readonly json?: true;
}

const details = `
Any member can answer: it asks the leader or, without a leader, shows its own view. "problem" says what is wrong and what
to do; the exit code is then 5. --local shows the answering server's own view. The states of a node and their problems
are listed in docs/states.md. The exit code with --watch does not depend on problems.

State of a member, as the leader sees it:
  self          the leader itself
  replicating   receives new entries as they are appended
  probing       the leader does not know yet where the log of the member matches its own
  catching-up   receives stored segments
  unreachable   the leader has not heard from it for an election timeout
  unknown       the node that answered is not the leader

With --watch the status is printed again until Ctrl-C: in place on a terminal, on every change; with --json as one object
per line, on every change; otherwise one after the other, when more has changed than the progress of members.

Examples:
  golog cluster status
  golog cluster status --watch
  golog cluster status --addr 10.0.0.5:8400,10.0.0.6:8400 --json | jq -r .leader
${exitCodesHelp}`;

const clearScreen = '\u001b[H\u001b[J';

export function addClusterCommand(program: Command): void {
  const cluster = program
    .command('cluster')
    .summary('show cluster status, and read and change the settings of the cluster')
    .description('Shows the status of the cluster, and reads and changes its settings.');
  const examples = ['status', 'get', 'set retention-age 30d'].map((each) => `  golog cluster ${each}\n`).join('');
  cluster.addHelpText('after', `\nExamples:\n${examples}${exitCodesHelp}`);
  addSettingCommands(cluster);
  cluster
    .command('status')
    .summary('show members, leader, and what is wrong')
    .description('Prints the leader, the commit index, and the progress of each member.')
    .addOption(addressesOption())
    .option('--local', 'show the view of the server that answers instead of the view of the leader')
    .option('--watch', 'print the status again on every change')
    .option('--json', 'print JSON')
    .addHelpText('after', details)
    .action(async (flags: StatusFlags) => {
      let problem: string | undefined;
      const code = await withCluster('cluster status', flags, async (cluster, signal) => {
        if (flags.watch === true) await watch(cluster, flags, signal);
        else problem = await once(cluster, flags, signal);
      });
      process.exitCode = code === ExitCode.ok && problem !== undefined ? ExitCode.problem : code;
    });
}

/** Prints the status; resolves with its problem. */
async function once(
  cluster: ClusterClient,
  { local, json }: StatusFlags,
  signal: AbortSignal,
): Promise<string | undefined> {
  const status = await cluster.status({ local: local === true, signal });
  process.stdout.write(json === true ? jsonLine(status) : clusterStatusText(status, columnsOfOutput()));
  return status.problem;
}

async function watch(cluster: ClusterClient, { local, json }: StatusFlags, signal: AbortSignal): Promise<void> {
  const redraw = isRedrawable() && json !== true;
  const onLost = (reason: unknown): void => {
    process.stderr.write(`golog cluster status: ${messageOf(reason)}; retrying\n`);
  };
  const output = new DataOutput(process.stdout);
  let separator = '';
  let shown: string | undefined;
  for await (const status of cluster.watch({ local: local === true, signal, onLost })) {
    if (json === true) {
      await output.write(jsonLine(status));
      continue;
    }
    const text = clusterStatusText(status, columnsOfOutput());
    if (redraw) {
      await output.write(`${clearScreen}${cutTo(rowsOfOutput(), text)}`);
      continue;
    }
    const lasting = lastingPartOf(status);
    if (lasting !== shown) await output.write(`${separator}${text}`);
    separator = '\n';
    shown = lasting;
  }
}

/** What does not change with each append and each second: in a pipe, a status that differs in nothing else is left out. */
function lastingPartOf({ answeredBy, term, leader, members, settings, problem, gossip }: ClusterStatus): string {
  return JSON.stringify({
    answeredBy,
    term,
    leader,
    settings,
    problem: problem?.replace(/\d+/g, ''),
    members: members.map(({ id, name, uuid, rpcAddr, role, state }) => ({ id, name, uuid, rpcAddr, role, state })),
    gossip: gossip.map(({ name, addr, status }) => ({ name, addr, status })),
  });
}

const jsonLine = (status: ClusterStatus): string => `${printableJson(JSON.stringify(status))}\n`;
