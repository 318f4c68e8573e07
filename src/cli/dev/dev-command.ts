import { type Command, InvalidArgumentError, Option } from 'commander';
import { nodesIn, resetDirectory } from './dev-directory.js';
import { runCluster } from './dev-cluster.js';
import { ExitCode, messageOf } from '../options/exit-codes.js';
import { interruptible } from '../options/interruption.js';
import { parseCount } from '../options/option-values.js';

interface DevFlags {
  readonly nodes?: number;
  readonly dir: string;
  readonly rpcPort?: number;
  readonly httpPort?: number;
  readonly reset?: true;
  readonly json?: true;
}

const details = `
Each node is a process of its own. n1 is where the other commands look by default, each further one is 10 ports above:
  n1  gRPC 127.0.0.1:8400  HTTP 127.0.0.1:4001
  n2  gRPC 127.0.0.1:8410  HTTP 127.0.0.1:4011
  n3  gRPC 127.0.0.1:8420  HTTP 127.0.0.1:4021

The directory holds for each node nX its data (nX), its log (nX.log) and its configuration (nX.yaml, as for golog serve
--config-file: change it as you like). A later golog dev on the same directory goes on with the same cluster.

On a terminal the nodes are shown as they are now, in a pipe each event is a line, with --json each state of the cluster
an object a line. A node that is killed stays down until it is started again, with the command shown or the next golog
dev. Ctrl-C stops all nodes in order, a second one kills them.

Examples:
  golog dev
  golog dev --nodes 5 --dir /tmp/five --rpc-port 9400 --http-port 5001
  golog dev --reset -- --tick-interval 30ms      (after --: options of golog serve, for all nodes)
  kill -9 PID                                    (of the leader, and watch another take over)

Exit codes:
  0    stopped in order
  1    a node could not start: the end of its log is shown
  2    wrong usage, or the directory holds another cluster than the flags ask for
  130  nodes were killed by a second Ctrl-C`;

const nodeCounts = ['1', '3', '5'];

function parseNodes(text: string): number {
  if (!nodeCounts.includes(text)) throw new InvalidArgumentError('expected 1, 3 or 5.');
  return Number(text);
}

export function addDevCommand(program: Command): void {
  program
    .command('dev')
    .summary('run a local cluster')
    .description('Runs a local cluster until Ctrl-C, and shows how its nodes are.')
    .argument('[serve-options...]', 'after --, for every node')
    .addOption(new Option('--nodes <N>', '1, 3 or 5 (default: 3, or as many as --dir has)').argParser(parseNodes))
    .option('--dir <DIR>', 'where all of it is kept', './golog-dev')
    .addOption(portOption('--rpc-port', 'gRPC port of n1 (default: 8400)'))
    .addOption(portOption('--http-port', 'HTTP port of n1 (default: 4001)'))
    .option('--reset', 'remove the data of an earlier cluster first')
    .option('--json', 'print JSON')
    .addHelpText('after', details)
    .action(async (serveOptions: readonly string[], flags: DevFlags) => {
      process.exitCode = await dev(serveOptions, flags);
    });
}

const portOption = (name: string, help: string): Option =>
  new Option(`${name} <PORT>`, `${help}; 0 takes free ones for all nodes`).argParser(parseCount(0, 65_535));

async function dev(serveOptions: readonly string[], flags: DevFlags): Promise<number> {
  try {
    if (flags.reset === true) resetDirectory(flags.dir);
    const { nodes, rpcPort, httpPort } = flags;
    const places = await nodesIn(flags.dir, { nodes, rpcPort, httpPort });
    const look = flags.json === true ? 'json' : process.stdout.isTTY ? 'live' : 'lines';
    const options = { directory: flags.dir, places, serveOptions, look } as const;
    return await interruptible((signal) => runCluster(options, signal));
  } catch (error) {
    process.stderr.write(`golog dev: ${messageOf(error)}\n`);
    const wrongUsage =
      error instanceof InvalidArgumentError || (error instanceof Error && error.name === 'ConfigError');
    return wrongUsage ? ExitCode.usage : ExitCode.failure;
  }
}
