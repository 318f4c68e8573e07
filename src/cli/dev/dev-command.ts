import { type Command, InvalidArgumentError, Option } from 'commander';
import { nodesIn, resetDirectory } from './dev-directory.js';
import { runCluster } from './dev-cluster.js';
import { ExitCode, messageOf } from '../options/exit-codes.js';
import { interruptible } from '../options/interruption.js';
import { parseCount } from '../options/option-values.js';
import { isRedrawable } from '../options/terminal.js';

interface DevFlags {
  readonly nodes?: number;
  readonly dir: string;
  readonly rpcPort?: number;
  readonly httpPort?: number;
  readonly reset?: true;
  readonly json?: true;
}

const details = `
Each node runs in its own process. n1 has the address that other commands use by default; the ports of each further node
are 10 higher:
  n1  gRPC 127.0.0.1:8400  HTTP 127.0.0.1:4001
  n2  gRPC 127.0.0.1:8410  HTTP 127.0.0.1:4011
  n3  gRPC 127.0.0.1:8420  HTTP 127.0.0.1:4021

For each node nX the directory contains its data (nX), its output (nX.log) and its configuration (nX.yaml, a file for
golog serve --config-file that you can edit). Another golog dev on the same directory restarts the same cluster.

On a terminal a table shows the current state of the nodes; in a pipe each event is a line; with --json each state of
the cluster is an object on a line. A killed node stays down until it is started again, by the printed command or the
next golog dev. Ctrl-C stops all nodes gracefully; a second Ctrl-C kills them.

Examples:
  golog dev
  golog dev --nodes 5 --dir /tmp/five --rpc-port 9400 --http-port 5001
  golog dev --reset -- --tick-interval 30ms      (after --: options of golog serve for all nodes)
  kill -9 PID                                    (with the PID of the leader, to watch a failover)

Exit codes:
  0    stopped gracefully
  1    a node could not start; the end of its output is shown
  2    wrong usage, or the flags do not match the cluster in the directory
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
    .description('Runs a local cluster until Ctrl-C, and shows the state of its nodes.')
    .argument('[serve-options...]', 'after --: options of golog serve for every node')
    .addOption(
      new Option('--nodes <N>', 'number of nodes: 1, 3 or 5 (default: as in --dir, or 3)').argParser(parseNodes),
    )
    .option('--dir <DIR>', 'directory for data, configuration and output', './golog-dev')
    .addOption(portOption('--rpc-port', 'gRPC port of n1 (default: 8400)'))
    .addOption(portOption('--http-port', 'HTTP port of n1 (default: 4001)'))
    .option('--reset', 'first remove the cluster in --dir')
    .option('--json', 'print JSON')
    .addHelpText('after', details)
    .action(async (serveOptions: readonly string[], flags: DevFlags) => {
      process.exitCode = await dev(serveOptions, flags);
    });
}

const portOption = (name: string, help: string): Option =>
  new Option(`${name} <PORT>`, `${help}; 0 picks free ports for all nodes`).argParser(parseCount(0, 65_535));

async function dev(serveOptions: readonly string[], flags: DevFlags): Promise<number> {
  try {
    if (flags.reset === true) resetDirectory(flags.dir);
    const { nodes, rpcPort, httpPort } = flags;
    const specs = await nodesIn(flags.dir, { nodes, rpcPort, httpPort });
    const mode = flags.json === true ? 'json' : isRedrawable() ? 'live' : 'lines';
    const options = { directory: flags.dir, specs, serveOptions, mode } as const;
    return await interruptible((signal) => runCluster(options, signal));
  } catch (error) {
    process.stderr.write(`golog dev: ${messageOf(error)}\n`);
    const wrongUsage =
      error instanceof InvalidArgumentError || (error instanceof Error && error.name === 'ConfigError');
    return wrongUsage ? ExitCode.usage : ExitCode.failure;
  }
}
